// The keyboard: i incidents, w wall, m map, b broadcasts, f footage, / search, t the key to talk by, j and k move, x ticks, a acknowledges or decides, n files a request,
// 1 to 4 say what came of a broadcast, Escape goes back.
import * as footage from "./footage-shelf";
import { inOrder, type Desk } from "./incidents";
import { at, move, note, OUTCOMES } from "./ledger-shelf";
import { looked, may, opened, phase, search, shelf, ticked, view } from "./session";

function typing(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLElement && event.target.closest("input, textarea, select") !== null;
}

function step(desk: Desk, by: number): void {
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
      b: () => may("broadcast:read") && (view.value = "ledger"),
      t: () => document.querySelector<HTMLElement>(".talk-key")?.focus(),
      f: () => may("footage:read") && (view.value = "footage"),
      Escape: () => {
        if (opened.value !== null) opened.value = null;
        else if (ticked.value.size > 0) ticked.value = new Set();
        else looked.value = null;
      },
    };
    if (view.value === "incidents")
      Object.assign(keys, {
        j: () => step(now.desk, 1),
        k: () => step(now.desk, -1),
        x: () => looked.value !== null && tick(looked.value),
        a: () => document.querySelector<HTMLElement>(".deeds .comment")?.focus(),
      });
    if (view.value === "ledger") {
      Object.assign(keys, { j: () => move(1), k: () => move(-1), Escape: () => (at.value = null) });
      OUTCOMES.forEach((outcome, number) => (keys[String(number + 1)] = () => note(outcome)));
    }
    if (view.value === "footage")
      Object.assign(keys, {
        j: () => footage.move(1),
        k: () => footage.move(-1),
        n: () => void footage.begin(),
        a: () => document.querySelector<HTMLElement>(".dossier .decide input")?.focus(),
        Escape: () => footage.look(null),
      });
    const key = keys[event.key];
    if (key === undefined) return;
    event.preventDefault();
    key();
  });
}
