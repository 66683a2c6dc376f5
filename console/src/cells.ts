// What grid cells are called: a city has thousands and few are ever shown, so each is asked for when it is shown first.
import { effect, signal } from "@preact/signals";
import { get, unanswered } from "./api";
import { phase } from "./session";

const names = signal<ReadonlyMap<string, string>>(new Map());
const asked = new Set<string>();

// Whoever signs in next asks anew: a reader is told of the cells that are for that reader.
effect(() => {
  if (phase.value.at !== "signed-out") return;
  asked.clear();
  names.value = new Map();
});

/** What a grid cell is called; its code until that is known, and where nobody has named it. */
export function cellNamed(code: string): string {
  if (!asked.has(code)) {
    asked.add(code);
    void get<{ name: string }>(`/v1/grid-cells/${encodeURIComponent(code)}`).then(
      (cell) => (names.value = new Map(names.value).set(code, cell.name)),
      (error: unknown) => {
        if (unanswered(error)) asked.delete(code); // else the cell is no more, or not for this reader, and goes by its code
      },
    );
  }
  return names.value.get(code) || code;
}
