// The gateway's HTTP API as the console uses it: a session cookie made from a key, pages of a list, and the event stream.
import { City, type DeviceAnswer, type GroupAnswer } from "./city";

export class NotSignedIn extends Error {}

async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { Accept: "application/json", "X-Requested-With": "console", ...init.headers };
  const answer = await fetch(path, { ...init, headers, credentials: "same-origin" });
  if (answer.status === 401) throw new NotSignedIn();
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => ({}))) as { title?: string; detail?: string };
    throw new Error(problem.detail ?? problem.title ?? `HTTP ${answer.status}`);
  }
  return answer;
}

/** Trade an API key for a session cookie that scripts cannot read. */
export async function signIn(key: string): Promise<void> {
  await call("/v1/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });
}

export async function signOut(): Promise<void> {
  await call("/v1/session", { method: "DELETE" });
}

interface Page<T> {
  items: T[];
  next?: string | null;
}

/** All pages of a list, and the newest event that its first page already shows. */
async function all<T>(path: string): Promise<{ items: T[]; cursor: string | null }> {
  const items: T[] = [];
  let shown: string | null = null;
  for (let next: string | null | undefined = ""; next !== null && next !== undefined; ) {
    const answer = await call(`${path}?${new URLSearchParams({ limit: "1000", ...(next ? { cursor: next } : {}) })}`);
    shown ??= answer.headers.get("X-Event-Cursor");
    const page = (await answer.json()) as Page<T>;
    items.push(...page.items);
    next = page.next;
  }
  return { items, cursor: shown };
}

/** The whole city as it stands now, and the cursor from which to follow it. */
export async function readCity(): Promise<{ city: City; cursor: string | null }> {
  const [groups, devices] = await Promise.all([all<GroupAnswer>("/v1/camera-groups"), all<DeviceAnswer>("/v1/devices")]);
  return { city: new City(groups.items, devices.items), cursor: devices.cursor };
}

export interface GatewayEvent {
  cursor: number;
  type: string;
  subject: string;
  at: string;
  data: Record<string, unknown>;
}

export interface Stream {
  close(): void;
}

const TYPES = ["device.state", "inventory.imported"];
const AGAIN_MS = 3000;

/**
 * Follow the events after `cursor`. The browser itself comes back after a break and says where it stopped (Last-Event-ID);
 * `onGap` is called when the gateway no longer has what was missed, or has ended the stream: the city must be read anew.
 */
export function follow(cursor: string | null, on: { event(event: GatewayEvent): void; gap(): void; live(live: boolean): void }): Stream {
  const query = new URLSearchParams({ types: TYPES.join(","), ...(cursor === null ? {} : { after: cursor }) });
  const source = new EventSource(`/v1/events?${query}`);
  for (const type of TYPES) source.addEventListener(type, (message) => on.event(JSON.parse((message as MessageEvent<string>).data)));
  source.addEventListener("gap", () => on.gap());
  source.addEventListener("open", () => on.live(true));
  source.addEventListener("error", () => {
    on.live(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => on.gap(), AGAIN_MS);
  });
  return source;
}
