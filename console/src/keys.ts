// The keyboard: i incidents, w wall, m map, / search, j and k move, x ticks, a acknowledges, Escape goes back.
import { inOrder, type Desk } from "./incidents";
import { looked, opened, phase, search, shelf, ticked, view } from "./session";

function typing(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && event.target.closest("input, textarea, select") !== null;
}

function move(desk: Desk, by: number): void {
  const ids = desk.shown(shelf.value, search.value).sort(inOrder).map((one) => one.id);
  if (ids.length === 0) return;
  const at = ids.indexOf(looked.value ?? "");
  looked.value = ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))]!;
  requestAnimationFrame(() => document.querySelector(".incident[aria-current='true']")?.scrollIntoView({ block: "nearest" }));
}

export function tick(id: string): void {
  const next = new Set(ticked.value);
  if (!next.delete(id)) next.add(id);
  ticked.value = next;
}

export function listen(): void {
  addEventListener("keydown", (event) => {
    const now = phase.value;
    if (now.at !== "live" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    const keys: Record<string, () => void> = {
      "/": () => document.querySelector<HTMLInputElement>(".top input[type=search]")?.focus(),
      i: () => (view.value = "incidents"),
      w: () => (view.value = "wall"),
      m: () => (view.value = "map"),
      Escape: () => {
        if (opened.value !== null) opened.value = null;
        else if (ticked.value.size > 0) ticked.value = new Set();
        else looked.value = null;
      },
    };
    if (view.value === "incidents")
      Object.assign(keys, {
        j: () => move(now.desk, 1),
        k: () => move(now.desk, -1),
        x: () => looked.value !== null && tick(looked.value),
        a: () => document.querySelector<HTMLElement>(".deeds .comment")?.focus(),
      });
    const key = keys[event.key];
    if (key === undefined) return;
    event.preventDefault();
    key();
  });
}
