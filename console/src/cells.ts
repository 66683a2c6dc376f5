// What grid cells are called: a city has thousands and few are ever shown, so each is asked for when it is shown first.
import { signal } from "@preact/signals";
import { get } from "./api";

const names = signal<ReadonlyMap<string, string>>(new Map());
const asked = new Set<string>();

/** What a grid cell is called; its code until that is known, and where nobody has named it. */
export function cellNamed(code: string): string {
  if (!asked.has(code)) {
    asked.add(code);
    void get<{ name: string }>(`/v1/grid-cells/${encodeURIComponent(code)}`).then(
      (cell) => (names.value = new Map(names.value).set(code, cell.name)),
      () => undefined, // a cell that is no more, or not for this reader, goes by its code
    );
  }
  return names.value.get(code) || code;
}
