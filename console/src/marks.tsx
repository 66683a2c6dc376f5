// One mark per state and per severity, told apart by shape as well as by colour.
import { deliverable, type Request, type State as FootageState } from "./footage";
import { t, when, worded } from "./i18n";
import type { Severity } from "./incidents";
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

// The fuller, the worse: an octagon with a stroke through it, a full diamond, half a diamond, a hollow one.
const ALARMS: Record<Severity, string> = {
  critical: "M5.1 1h5.8L15 5.1v5.8L10.9 15H5.1L1 10.9V5.1zM7 4v5h2V4zm0 6.2v2h2v-2z",
  major: "M8 1l7 7-7 7-7-7z",
  minor: "M8 1l7 7-7 7-7-7zm0 2.9L3.9 8H12.100z",
  warning: "M8 1l7 7-7 7-7-7zm0 2.9L3.9 8 8 12.100 12.100 8z",
};

const WRONG: readonly FootageState[] = ["rejected", "unavailable", "failed", "partial", "revoked"];

/** The state of a footage request, coloured by what it means: done, waiting, or gone wrong. */
export function Stage({ state }: { state: FootageState }) {
  return <span class={`chip ${WRONG.includes(state) ? "open" : deliverable(state) ? "resolved" : ""}`}>{worded("footage.state", state)}</span>;
}

/** That a footage request is urgent, or an emergency whose papers are due. */
export function Urgent({ one }: { one: Pick<Request, "urgency" | "emergency" | "owing" | "papers_due_at"> }) {
  if (one.urgency !== "urgent") return null;
  return (
    <>
      <span class="chip hot">{one.emergency === null ? t("footage.urgent") : worded("footage.emergency", one.emergency)}</span>{" "}
      {one.owing && <span class="chip hot">{t("footage.owing", { at: when(one.papers_due_at) })}</span>}
    </>
  );
}

export function Alarm({ severity }: { severity: Severity }) {
  return (
    <svg class={`mark alarm ${severity}`} viewBox="0 0 16 16" aria-hidden="true">
      <path d={ALARMS[severity] ?? ALARMS.warning} />
    </svg>
  );
}
