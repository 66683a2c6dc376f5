// The four states of health, worst first, and how a group's state follows from its devices'.

export const STATES = ["down", "degraded", "unknown", "up"] as const;
export type State = (typeof STATES)[number];

const RANK: Record<State, number> = { down: 3, degraded: 2, unknown: 1, up: 0 };

/** The worst of some states; "unknown" of none. */
export function worst(states: Iterable<State>): State {
  let found: State | undefined;
  for (const state of states) if (found === undefined || RANK[state] > RANK[found]) found = state;
  return found ?? "unknown";
}

/** Whatever a newer gateway may say that this console does not know is "unknown". */
export function stateOf(text: string): State {
  return (STATES as readonly string[]).includes(text) ? (text as State) : "unknown";
}
