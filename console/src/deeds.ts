// What a reader does to incidents and devices: one call each, and a word about what came of it.
import { act as acted, check, cyclePower, endWindow, maintain as maintained, moveOrder, orderRepair, type Places } from "./api";
import { t } from "./i18n";
import type { Act, Desk } from "./incidents";
import { looked, tell, ticked } from "./session";
import { stateOf } from "./states";

/** The ticked incidents, or the one that is looked at. */
export function meant(): string[] {
  return ticked.value.size > 0 ? [...ticked.value] : looked.value !== null ? [looked.value] : [];
}

export async function act(ids: readonly string[], what: Act, more: { comment?: string; assignee?: string; until?: string | null } = {}): Promise<boolean> {
  if (ids.length === 0) return false;
  return said(async () => {
    const refused = await acted(ids, { act: what, ...more });
    if (refused.length === 0) ticked.value = new Set();
    tell(refused.length === 0 ? t("done", { n: ids.length, what: t(`act.${what}`) }) : refused.join("\n"), refused.length > 0);
  });
}

export type Span = "30m" | "2h" | "tomorrow";
export const SPANS: readonly Span[] = ["30m", "2h", "tomorrow"];

/** Begin maintenance now; "until tomorrow" is until eight in the reader's morning. */
export async function maintain(desk: Desk, places: Places, span: Span, reason = ""): Promise<boolean> {
  return said(async () => {
    const time = span === "tomorrow" ? { end: tomorrow(8).toISOString() } : { minutes: span === "30m" ? 30 : 120 };
    desk.takeWindow(await maintained(places, time, reason));
    tell(t("maintain.begun"));
  });
}

export async function end(desk: Desk, window: string): Promise<boolean> {
  return said(async () => {
    desk.takeWindow(await endWindow(window));
    tell(t("maintain.ended"));
  });
}

/** Hand an incident to the maintainers: what is to be done is asked for. */
export async function order(desk: Desk, incident: string, title: string): Promise<boolean> {
  const what = prompt(t("order.what"), title)?.trim();
  if (!what) return false;
  return said(async () => {
    const made = await orderRepair(incident, what);
    desk.takeOrder(made);
    tell(t("order.made", { id: made.id }));
  });
}

/** Take an order a step on; what was repaired, or why it goes back or away, is asked for. */
export async function step(desk: Desk, id: string, name: string): Promise<boolean> {
  const asked = ["repaired", "send-back", "cancel"].includes(name);
  const comment = asked ? prompt(t("order.note"))?.trim() : "";
  if (asked && !comment) return false;
  return said(async () => desk.takeOrder(await moveOrder(id, name, comment ?? "")));
}

export async function visit(device: string): Promise<boolean> {
  return said(async () => {
    const state = stateOf(await check(device));
    tell(t("visited", { state: t(`state.${state}`) }), state === "down");
  });
}

/** Let a hung device start anew by its power; the gateway wants to know why. */
export async function restart(device: string): Promise<boolean> {
  const why = prompt(t("power.why"))?.trim();
  if (!why) return false;
  tell(t("power.begun"));
  return said(async () => {
    const outcome = await cyclePower(device, why);
    tell(t("power.ended", { outcome }), outcome !== "done");
  });
}

/** So many o'clock on the next day. */
export function tomorrow(hour: number): Date {
  const at = new Date();
  at.setDate(at.getDate() + 1);
  at.setHours(hour, 0, 0, 0);
  return at;
}

async function said(deed: () => Promise<void>): Promise<boolean> {
  try {
    await deed();
    return true;
  } catch (error) {
    tell(String((error as Error).message), true);
    return false;
  }
}
