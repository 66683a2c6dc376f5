// What the page is doing: signed out, reading the city, live; and what the reader has chosen to see.
import { effect, signal } from "@preact/signals";
import { follow, NotSignedIn, readCity, readPhrases, readSession, signIn, signOut, type Stream } from "./api";
import { phrases, self } from "./i18n";
import type { City } from "./city";
import type { Desk, Incident, Order, Shelf, Window } from "./incidents";
import type { State } from "./states";

export type Phase = { at: "signed-out"; failed: boolean } | { at: "loading" } | { at: "failed"; why: string } | { at: "live"; city: City; desk: Desk };

export const phase = signal<Phase>({ at: "loading" });
export const connected = signal(false);
export const chosen = signal<string | null>(null);
export const search = signal("");
export const only = signal<State | null>(null);
export type View = "wall" | "map" | "incidents" | "maintenance" | "ledger" | "footage";
export const view = signal<View>("wall");
/** The incident that is looked at, those that are ticked, and which of them are listed. */
export const looked = signal<string | null>(null);
export const ticked = signal<ReadonlySet<string>>(new Set());
export const shelf = signal<Shelf>("live");
/** The footage request of which an event told last. */
export const touched = signal<{ id: string; cursor: number } | null>(null);
/** The broadcast of which an event told last. */
export const sounded = signal<{ id: string; cursor: number } | null>(null);
/** The cursor of the event that told of a schedule last. */
export const scheduled = signal<number | null>(null);
/** The device whose page is open. */
export const opened = signal<string | null>(null);
export const mayAct = signal(false);
/** Whether the reader may say which loudspeaker is heard where. */
export const mayBind = signal(false);
const allowed = signal<ReadonlySet<string>>(new Set());
/** Whether the key behind the session has a permission. */
export const may = (permission: string): boolean => allowed.value.has(permission);
/** What was just done, or why not; shown for some seconds. */
export const said = signal<{ words: string; wrong: boolean } | null>(null);
export const theme = signal(localStorage.getItem("theme") ?? "dark");

effect(() => {
  localStorage.setItem("theme", theme.value);
  document.documentElement.dataset["theme"] = theme.value;
});

// Whoever signs in next begins anew, and sees nothing of what was looked at or searched for.
effect(() => {
  if (phase.value.at !== "signed-out") return;
  [chosen.value, only.value, looked.value, opened.value, touched.value, sounded.value, said.value] = [null, null, null, null, null, null, null];
  [search.value, view.value, shelf.value, ticked.value] = ["", "wall", "live", new Set()];
});

let stream: Stream | undefined;
let silence: ReturnType<typeof setTimeout> | undefined;

/** Tell the reader what came of something. */
export function tell(words: string, wrong = false): void {
  said.value = { words, wrong };
  clearTimeout(silence);
  silence = setTimeout(() => (said.value = null), wrong ? 9000 : 4000);
}

/** Read the city, then follow what changes; ends signed out when there is no session. */
export async function open(): Promise<void> {
  stream?.close();
  phase.value = { at: "loading" };
  try {
    const [{ city, desk, cursor }, session, words] = await Promise.all([readCity(), readSession(), readPhrases()]);
    phrases.value = words;
    allowed.value = new Set(session.permissions);
    mayAct.value = session.permissions.includes("health:manage");
    mayBind.value = session.permissions.includes("inventory:write");
    self.value = session;
    phase.value = { at: "live", city, desk };
    stream = follow(cursor, {
      event: (event) => {
        if (event.type === "inventory.imported") void open();
        if (event.type === "device.state" && !city.apply(event.cursor, event.subject, event.at, event.data)) void open();
        if (event.type.startsWith("incident.") && event.data["incident"]) desk.take(event.data["incident"] as Incident);
        if (event.type.startsWith("maintenance.") && event.data["window"]) desk.takeWindow(event.data["window"] as Window);
        if (event.type.startsWith("footage.")) touched.value = { id: event.subject, cursor: event.cursor };
        if (event.type.startsWith("broadcast.")) sounded.value = { id: event.subject, cursor: event.cursor };
        if (event.type.startsWith("schedule.")) scheduled.value = event.cursor;
        if (event.data["work_order"]) desk.takeOrder(event.data["work_order"] as Order);
      },
      gap: () => void open(),
      live: (live) => (connected.value = live),
    });
  } catch (error) {
    phase.value = error instanceof NotSignedIn ? { at: "signed-out", failed: false } : { at: "failed", why: String((error as Error).message) };
  }
}

export async function enter(key: string): Promise<void> {
  try {
    await signIn(key.trim());
  } catch {
    phase.value = { at: "signed-out", failed: true };
    return;
  }
  await open();
}

export async function leave(): Promise<void> {
  stream?.close();
  await signOut().catch(() => undefined);
  phase.value = { at: "signed-out", failed: false };
}
