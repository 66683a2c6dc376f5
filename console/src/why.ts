// The reasons that were given last for speaking in the street, kept in this browser to be suggested again.
import { signal } from "@preact/signals";

const KEPT = "reasons";
const MOST = 8;

function read(): string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one) => typeof one === "string").slice(0, MOST) : [];
  } catch {
    return []; // somebody else's
  }
}

/** The last reasons, the latest first. */
export const reasons = signal(read());

/** Suggest `given` first from now on. */
export function remember(given: string | undefined): void {
  if (!given) return;
  reasons.value = [given, ...reasons.peek().filter((one) => one !== given)].slice(0, MOST);
  localStorage.setItem(KEPT, JSON.stringify(reasons.peek()));
}
