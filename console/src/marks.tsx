// One mark per state, told apart by shape as well as by colour.
import type { State } from "./states";

const SHAPES: Record<State, string> = {
  up: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3z",
  degraded: "M8 2.2l6.2 11.3H1.8z",
  down: "M3.6 1.8L8 6.2l4.4-4.4 1.8 1.8L9.8 8l4.4 4.4-1.8 1.8L8 9.8l-4.4 4.4-1.8-1.8L6.2 8 1.8 3.6z",
  unknown: "M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zm0 2.2a3.3 3.3 0 1 1 0 6.6 3.3 3.3 0 0 1 0-6.6z",
};

export function Mark({ state }: { state: State }) {
  return (
    <svg class={`mark ${state}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHAPES[state]} />
    </svg>
  );
}
