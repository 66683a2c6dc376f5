// What is said again and again: when each schedule speaks next, what became of it last, and the pause and the second person by one button.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post } from "./api";
import type { City } from "./city";
import { reason, t, when, who } from "./i18n";
import { place } from "./ledger";
import type { Entry } from "./ledger-shelf";
import { ruled } from "./rules";
import { may, scheduled, tell } from "./session";

export interface Schedule {
  id: string;
  name: string;
  name_en: string;
  state: "awaiting-approval" | "active" | "paused" | "withdrawn";
  kind: "clip" | "speech";
  text: string;
  targets: Entry["targets"];
  start: string;
  rrule: string;
  timezone: string;
  reason: string;
  repeats: number;
  days: "all" | "working" | "free" | "holidays" | "not-holidays";
  actor: string;
  sender: string;
  next: string | null;
  last: { due: string; state: "ordered" | "refused" | "missed"; code: string } | null;
}

/** What a reader with these permissions may do with a schedule in this state. */
export function steps(state: Schedule["state"], allowed: (permission: string) => boolean): ("approve" | "pause" | "resume")[] {
  if (state === "awaiting-approval") return allowed("broadcast:approve") ? ["approve"] : [];
  if (!allowed("broadcast:send")) return [];
  if (state === "active") return ["pause"];
  return state === "paused" ? ["resume"] : [];
}

const schedules = signal<readonly Schedule[]>([]);
const known = signal<string | null>(null);

async function read(): Promise<void> {
  try {
    const found = await get<{ items: Schedule[]; holidays_known_until: string | null }>("/v1/schedules");
    schedules.value = found.items;
    known.value = found.holidays_known_until;
  } catch (error) {
    tell(String((error as Error).message), true);
  }
}

async function step(id: string, what: string): Promise<void> {
  try {
    const after = await post<Schedule>(`/v1/schedules/${encodeURIComponent(id)}/${what}`, undefined);
    schedules.value = schedules.value.map((one) => (one.id === id ? after : one));
  } catch (error) {
    tell(String((error as Error).message), true);
  }
}

export function Schedules({ city }: { city: City }) {
  useEffect(() => void read(), [scheduled.value]);
  if (schedules.value.length === 0) return null;
  return (
    <section class="desk">
      <h2 class="apart">
        {t("schedules")} <button onClick={() => void read()}>{t("ledger.again")}</button>
      </h2>
      {known.value !== null && <p class="hint">{t("schedules.known", { day: known.value })}</p>}
      <div class="scrolled">
        <table class="windows">
          <thead>
            <tr>
              {(["name", "rule", "state", "next", "last"] as const).map((name) => (
                <th key={name}>{t(`schedules.${name}`)}</th>
              ))}
              <th>{t("ledger.where")}</th>
              <th>{t("ledger.by")}</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {schedules.value.map((one) => (
              <Line key={one.id} city={city} one={one} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Line({ city, one }: { city: City; one: Schedule }) {
  return (
    <tr data-schedule={one.id}>
      <td class="named">
        {one.name} <span class="dim">{one.kind === "speech" ? one.text : t("ledger.clip")}</span> {one.repeats > 1 && <span class="chip">{t("schedules.repeats", { n: one.repeats })}</span>}{" "}
        {one.reason !== "" && <span class="dim">· {one.reason}</span>}
      </td>
      <td title={one.rrule}>
        {ruled(one)} {one.days !== "all" && <span class="chip">{t(`schedules.${one.days}`)}</span>}
      </td>
      <td class="state">{t(`schedules.${one.state}`)}</td>
      <td>{when(one.next)}</td>
      <td class={one.last && one.last.state !== "ordered" ? "wrong" : ""}>
        {one.last && `${when(one.last.due)} ${t(`schedules.${one.last.state}`)} ${one.last.code && reason(one.last.code)}`}
      </td>
      <td class="place">{place(city, one)}</td>
      <td class="dim">{who(one.actor, one.sender)}</td>
      <td>
        {steps(one.state, may).map((what) => (
          <button key={what} onClick={() => void step(one.id, what)}>
            {t(`schedules.${what}`)}
          </button>
        ))}
      </td>
    </tr>
  );
}
