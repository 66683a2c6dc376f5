// What is worked on: maintenance windows, now and ahead, and the end of them, early; work orders and their clocks.
import { useComputed } from "@preact/signals";
import { cellNamed } from "./cells";
import type { City } from "./city";
import { end, step } from "./deeds";
import { type Key, lasted, t, when, who } from "./i18n";
import type { Desk, Order, Window } from "./incidents";
import { Alarm } from "./marks";
import { looked, mayAct, view } from "./session";

const MOST = 6; // of what a window is about, in its line

export function Upkeep({ city, desk }: { city: City; desk: Desk }) {
  const windows = useComputed(() => [...desk.windows.value.values()].sort(inOrder));
  return (
    <section class="desk">
      <h2>{t("windows")}</h2>
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
              <Line key={one.id} city={city} desk={desk} window={one} />
            ))}
          </tbody>
        </table>
      )}
      <Orders desk={desk} />
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

function Line({ city, desk, window: one }: { city: City; desk: Desk; window: Window }) {
  const stage = stageOf(one);
  const time = one.span ?? one;
  return (
    <tr class={`is-${stage}`}>
      <td>
        <span class={`chip ${stage === "now" ? "muted" : ""}`}>{t(`maintain.${stage}`)}</span>
      </td>
      <td>{covered(city, one)}</td>
      <td>{when(time.start)}</td>
      <td>
        {when(time.end)} {one.rrule !== null && <code title={one.rrule}>↻ {one.rrule}</code>}
      </td>
      <td>{one.reason}</td>
      <td class="dim">{who(one.created_by, one.creator)}</td>
      <td>{stage === "now" && mayAct.value && <button onClick={() => void end(desk, one.id)}>{t("maintain.end")}</button>}</td>
    </tr>
  );
}

/** What a window is about, groups, grid cells and devices by their names; of many the first. */
export function covered(city: City, one: Pick<Window, "everything" | "districts" | "groups" | "cells" | "vendors" | "devices">): string {
  if (one.everything) return t("maintain.everything");
  const groups = one.groups.map((group) => city.groupNamed(group));
  const devices = one.devices.map((device) => city.named(device));
  const all = [...one.districts, ...groups, ...one.cells.map(cellNamed), ...one.vendors, ...devices];
  return all.slice(0, MOST).join(t("list.comma")) + (all.length > MOST ? " …" : "");
}

// -- work orders ------------------------------------------------------------------------------------------------------

const STEPS: Record<Order["state"], readonly string[]> = {
  open: ["accept", "on-site", "cancel"],
  accepted: ["on-site", "repaired", "cancel"],
  "on-site": ["repaired", "cancel"],
  repaired: ["close", "send-back"],
  closed: [],
  cancelled: [],
};

function Orders({ desk }: { desk: Desk }) {
  const orders = useComputed(() => [...desk.orders.value.values()].sort((a, b) => Number(over(a)) - Number(over(b)) || b.opened_at.localeCompare(a.opened_at)));
  return (
    <>
      <h2 class="apart">
        {t("orders")}{" "}
        <small>
          <a href="/v1/work-orders/export?format=xlsx">XLSX ↓</a>
        </small>
      </h2>
      {orders.value.length === 0 ? (
        <p class="notice small">{t("order.none")}</p>
      ) : (
        <table class="windows">
          <thead>
            <tr>
              {(["order.state", "order.to", "maintain.what", "order.opened", "order.due"] as const).map((key) => (
                <th key={key}>{t(key)}</th>
              ))}
              <th />
            </tr>
          </thead>
          <tbody>
            {orders.value.map((one) => (
              <OrderLine key={one.id} desk={desk} order={one} />
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function over(one: Order): boolean {
  return STEPS[one.state].length === 0;
}

function OrderLine({ desk, order: one }: { desk: Desk; order: Order }) {
  const clock = one.state === "open" ? one.clocks["response"] : one.clocks["repair"];
  return (
    <tr class={over(one) ? "is-over" : ""}>
      <td>
        <Alarm severity={one.severity} /> <span class="chip">{t(`order.${one.state}` as Key)}</span>
      </td>
      <td>
        {one.maintainer} <span class="dim">{one.technician}</span>
      </td>
      <td>
        {one.what} <span class="dim">{t("devices", { n: one.device_count })}</span>{" "}
        {one.incident !== null && (
          <button
            class="chip hot"
            onClick={() => {
              looked.value = one.incident;
              view.value = "incidents";
            }}
          >
            {one.incident}
          </button>
        )}
        {one.closing_note !== "" && <q>{one.closing_note}</q>}
      </td>
      <td title={when(one.opened_at)}>{lasted(one.opened_at)}</td>
      <td>{!over(one) && clock && <span class={clock.overdue ? "late" : "dim"}>{clock.overdue ? t("order.overdue") : when(clock.due_at)}</span>}</td>
      <td class="repair">
        {mayAct.value &&
          STEPS[one.state].map((name) => (
            <button key={name} onClick={() => void step(desk, one.id, name)}>
              {t(`step.${name}` as Key)}
            </button>
          ))}
      </td>
    </tr>
  );
}
