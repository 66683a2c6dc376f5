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

async function all<T>(path: string): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | null | undefined = ""; cursor !== null && cursor !== undefined; ) {
    const query = new URLSearchParams({ limit: "1000", ...(cursor ? { cursor } : {}) });
    const page = (await (await call(`${path}?${query}`)).json()) as Page<T>;
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

/** The whole city as it stands now. */
export async function readCity(): Promise<City> {
  const [groups, devices] = await Promise.all([all<GroupAnswer>("/v1/camera-groups"), all<DeviceAnswer>("/v1/devices")]);
  return new City(groups, devices);
}

export interface GatewayEvent {
  cursor: string;
  type: string;
  subject: string;
  at: string;
  data: Record<string, unknown>;
}

export interface Stream {
  close(): void;
}

/**
 * Follow the events. The browser itself comes back after a break and says where it stopped (Last-Event-ID);
 * `onGap` is called when the gateway no longer has what was missed, and the city must be read anew.
 */
export function follow(handlers: { onEvent(event: GatewayEvent): void; onGap(): void; onLive(live: boolean): void }): Stream {
  const source = new EventSource("/v1/events");
  const take = (message: MessageEvent<string>) => {
    const body = JSON.parse(message.data) as Omit<GatewayEvent, "cursor">;
    handlers.onEvent({ ...body, cursor: message.lastEventId });
  };
  for (const type of ["device.state", "inventory.imported", "message"]) source.addEventListener(type, take as EventListener);
  source.addEventListener("gap", () => handlers.onGap());
  source.addEventListener("open", () => handlers.onLive(true));
  source.addEventListener("error", () => handlers.onLive(false));
  return source;
}
