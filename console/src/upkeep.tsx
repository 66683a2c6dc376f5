// Maintenance windows: what is worked on now, what will be, and the end of it, early.
import { useComputed } from "@preact/signals";
import { end } from "./deeds";
import { t, when, who } from "./i18n";
import type { Desk, Window } from "./incidents";
import { mayAct } from "./session";

export function Upkeep({ desk }: { desk: Desk }) {
  const windows = useComputed(() => [...desk.windows.value.values()].sort(inOrder));
  return (
    <section class="desk span">
      <p class="hint">{t("maintain.how")}</p>
      {windows.value.length === 0 ? (
        <p class="notice small">{t("maintain.none")}</p>
      ) : (
        <table class="windows">
          <thead>
            <tr>
              {(["maintain.stage", "maintain.what", "maintain.from", "maintain.until", "maintain.why", "maintain.by"] as const).map((key) => (
                <th key={key}>{t(key)}</th>
              ))}
              <th />
            </tr>
          </thead>
          <tbody>
            {windows.value.map((one) => (
              <Line key={one.id} desk={desk} window={one} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

type Stage = "now" | "ahead" | "over";

function stageOf(one: Window): Stage {
  if (one.in_force) return "now";
  if (one.cancelled_at !== null) return "over";
  return one.rrule !== null || Date.parse(one.start) > Date.now() ? "ahead" : "over";
}

function inOrder(a: Window, b: Window): number {
  const rank = { now: 0, ahead: 1, over: 2 };
  return rank[stageOf(a)] - rank[stageOf(b)] || b.start.localeCompare(a.start);
}

function Line({ desk, window: one }: { desk: Desk; window: Window }) {
  const stage = stageOf(one);
  const time = one.span ?? one;
  return (
    <tr class={`is-${stage}`}>
      <td>
        <span class={`chip ${stage === "now" ? "muted" : ""}`}>{t(`maintain.${stage}`)}</span>
      </td>
      <td>{covered(one)}</td>
      <td>{when(time.start)}</td>
      <td>
        {when(time.end)} {one.rrule !== null && <code title={one.rrule}>↻ {one.rrule}</code>}
      </td>
      <td>{one.reason}</td>
      <td class="dim">{who(one.created_by)}</td>
      <td>{stage === "now" && mayAct.value && <button onClick={() => void end(desk, one.id)}>{t("maintain.end")}</button>}</td>
    </tr>
  );
}

export function covered(one: Window): string {
  if (one.everything) return t("maintain.everything");
  return [...one.districts, ...one.groups, ...one.cells, ...one.vendors, ...one.devices].slice(0, 6).join("、");
}
