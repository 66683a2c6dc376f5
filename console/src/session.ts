// What the page is doing: signed out, reading the city, live; and what the reader has chosen to see.
import { effect, signal } from "@preact/signals";
import { follow, NotSignedIn, readCity, signIn, signOut, type Stream } from "./api";
import type { City } from "./city";
import type { State } from "./states";

export type Phase = { at: "signed-out"; failed: boolean } | { at: "loading" } | { at: "failed"; why: string } | { at: "live"; city: City };

export const phase = signal<Phase>({ at: "loading" });
export const connected = signal(false);
export const chosen = signal<string | null>(null);
export const search = signal("");
export const only = signal<State | null>(null);
export const view = signal<"wall" | "map">("wall");
export const theme = signal(localStorage.getItem("theme") ?? "dark");

effect(() => {
  localStorage.setItem("theme", theme.value);
  document.documentElement.dataset["theme"] = theme.value;
});

let stream: Stream | undefined;

/** Read the city, then follow what changes; ends signed out when there is no session. */
export async function open(): Promise<void> {
  stream?.close();
  phase.value = { at: "loading" };
  try {
    const { city, cursor } = await readCity();
    phase.value = { at: "live", city };
    stream = follow(cursor, {
      event: (event) => {
        if (event.type === "inventory.imported") void open();
        if (event.type === "device.state" && !city.apply(event.cursor, event.subject, event.at, event.data)) void open();
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
