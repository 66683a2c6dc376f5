// The gateway's HTTP API as the console uses it: a session cookie made from a key, pages of a list, and the event stream.
import { City, type DeviceAnswer, type GroupAnswer, type ZoneAnswer } from "./city";
import { type Fault, faulty, language, refusal, type Values } from "./i18n";
import { type Act, Desk, type Entry, type Incident, type Member, type Order, type Window } from "./incidents";

export class NotSignedIn extends Error {}

/** The gateway said no, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    words: string,
    readonly code = "",
    readonly faults: readonly Fault[] = [],
  ) {
    super(words);
  }
}

/** Whether the gateway was away or had too much to do, so that the same may succeed later. */
export function unanswered(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof Refused && (error.status >= 500 || error.status === 429));
}

/** How many ms the gateway's clock is ahead of this machine's, by its last answer. */
let ahead = 0;

/** The gateway's time, in ms as `Date.now` gives them: what it is told shall not depend on this machine's clock. */
export function gatewayNow(): number {
  return Date.now() + ahead;
}

export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = { Accept: "application/json", "X-Requested-With": "console", ...init.headers };
  const answer = await fetch(path, { ...init, headers, credentials: "same-origin" });
  const told = Date.parse(answer.headers.get("Date") ?? "");
  if (!Number.isNaN(told)) ahead = told - Date.now();
  if (answer.status === 401) throw new NotSignedIn();
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => ({}))) as { type?: string; title?: string; detail?: string; hint?: string; values?: Values; errors?: Fault[] };
    const code = problem.type?.split(":").pop() ?? "";
    const detail = inFull(problem.errors) ?? problem.detail ?? problem.title ?? `HTTP ${answer.status}`;
    throw new Refused(answer.status, refusal(code, detail, problem.hint, problem.values), code, problem.errors);
  }
  return answer;
}

const NAMED = 5;

/** Instead of the gateway's own English summary what it names of each field, where a reader of Chinese would else read English. */
function inFull(faults: readonly Fault[] = []): string | undefined {
  if (language.value !== "zh" || faults.length === 0) return undefined;
  const named = faults.slice(0, NAMED).map((fault) => `${fault.pointer} ${faulty(fault)}`);
  return named.join("；") + (faults.length > NAMED ? "……" : "");
}

/** POST something, or nothing where the route takes no body. */
export async function post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  const more = body === undefined ? { headers } : { headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) };
  return (await (await call(path, { method: "POST", ...more })).json()) as T;
}

/** POST what has one effect however often it arrives (Idempotency-Key): sent once more when the connection broke before an answer came. */
export async function postOnce<T>(path: string, body: unknown): Promise<T> {
  const key = { "Idempotency-Key": freshKey() };
  try {
    return await post<T>(path, body, key);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the gateway has answered
    return await post<T>(path, body, key);
  }
}

/** A key that nobody had before; also where the page is not served over TLS, and crypto.randomUUID is missing. */
export function freshKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function get<T>(path: string): Promise<T> {
  return (await (await call(path)).json()) as T;
}

/** Trade an API key for a session cookie that scripts cannot read. */
export async function signIn(key: string): Promise<void> {
  await call("/v1/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });
}

export async function signOut(): Promise<void> {
  await call("/v1/session", { method: "DELETE" });
}

/** What the gateway's reason codes say, in both languages. */
export async function readPhrases(): Promise<Record<string, { zh: string; en: string }>> {
  return ((await (await call("/v1/health/reasons")).json()) as { reasons: Record<string, { zh: string; en: string }> }).reasons;
}

interface Page<T> {
  items: T[];
  next?: string | null;
}

/** All pages of a list, or its first so many, and the newest event that its first page already shows. */
async function all<T>(path: string, query: Record<string, string> = {}, most = Infinity): Promise<{ items: T[]; cursor: string | null }> {
  const items: T[] = [];
  let shown: string | null = null;
  for (let next: string | null | undefined = ""; next !== null && next !== undefined && items.length < most; ) {
    const limit = String(Math.min(1000, most - items.length));
    const answer = await call(`${path}?${new URLSearchParams({ ...query, limit, ...(next ? { cursor: next } : {}) })}`);
    shown ??= answer.headers.get("X-Event-Cursor");
    const page = (await answer.json()) as Page<T>;
    items.push(...page.items);
    next = page.next;
  }
  return { items, cursor: shown };
}

/** The whole city as it stands now, what people have to do about it, and the cursor from which to follow both. */
export async function readCity(): Promise<{ city: City; desk: Desk; cursor: string | null }> {
  const devices = await all<DeviceAnswer>("/v1/devices");
  const [groups, zones, live, resolved, windows, orders] = await Promise.all([
    all<GroupAnswer>("/v1/camera-groups"),
    all<ZoneAnswer>("/v1/zones"),
    all<Incident>("/v1/incidents", { live: "true" }),
    all<Incident>("/v1/incidents", { state: "resolved" }, 100),
    all<Window>("/v1/maintenance-windows", {}, 200),
    all<Order>("/v1/work-orders", {}, 200),
  ]);
  const desk = new Desk([...resolved.items, ...live.items], windows.items, orders.items);
  return { city: new City(groups.items, devices.items, zones.items), desk, cursor: devices.cursor };
}

/** What the key behind the session may do. */
export async function readSession(): Promise<{ actor: string; name: string; permissions: string[] }> {
  return (await call("/v1/session")).json() as Promise<{ actor: string; name: string; permissions: string[] }>;
}

/** Do the same to several incidents; those that refuse are answered with the reason. */
export async function act(ids: readonly string[], deed: { act: Act; comment?: string; assignee?: string; until?: string | null }): Promise<string[]> {
  const answer = await post<{ items: { id: string; done: boolean; detail: string }[] }>("/v1/incidents/bulk", { ids, ...deed });
  return answer.items.filter((one) => !one.done).map((one) => `${one.id}: ${one.detail}`);
}

export async function history(incident: string): Promise<Entry[]> {
  return (await all<Entry>(`/v1/incidents/${encodeURIComponent(incident)}/history`, {}, 500)).items;
}

export async function members(incident: string): Promise<Member[]> {
  return (await all<Member>(`/v1/incidents/${encodeURIComponent(incident)}/members`)).items;
}

export type Places = Partial<Pick<Window, "devices" | "groups" | "cells" | "districts" | "vendors">>;

export async function maintain(places: Places, time: { minutes: number } | { end: string }, reason: string): Promise<Window> {
  return post<Window>("/v1/maintenance-windows", { ...places, ...time, reason });
}

export async function endWindow(id: string): Promise<Window> {
  return post<Window>(`/v1/maintenance-windows/${encodeURIComponent(id)}/end`, {});
}

/** Ask a maintainer to repair what an incident takes. */
export async function orderRepair(incident: string, what: string): Promise<Order> {
  return post<Order>("/v1/work-orders", { incident, what });
}

/** Take a work order a step on: accept, on-site, repaired, send-back, close, cancel. */
export async function moveOrder(order: string, step: string, comment: string): Promise<Order> {
  return post<Order>(`/v1/work-orders/${encodeURIComponent(order)}/${step}`, { comment });
}

/** Visit a device now; what state it is in then. */
export async function check(device: string): Promise<string> {
  return (await post<{ state: string }>(`/v1/devices/${encodeURIComponent(device)}/check`, {})).state;
}

/** Switch the power of a device's port off and on again; `done`, or what is not known of it. */
export async function cyclePower(device: string, reason: string): Promise<string> {
  return (await post<{ outcome: string }>(`/v1/devices/${encodeURIComponent(device)}/power-cycle`, { reason })).outcome;
}

export type Bond = "confirmed" | "nature" | "proposed" | "rejected" | "none";

/** One loudspeaker beside what a camera sees, and why it would speak to it now or not. */
export interface Heard {
  speaker: string;
  name: string;
  chosen: boolean;
  reason: string;
  state: string;
  view: { bond: Bond; distance_m: number | null; preset: string | null; note: string } | null;
}

/** The loudspeakers beside what a camera sees in a preset ("": wherever it looks), the nearest first. */
export async function speakersOf(camera: string, preset: string): Promise<Heard[]> {
  const path = `/v1/cameras/${encodeURIComponent(camera)}/speakers?${new URLSearchParams({ preset })}`;
  return ((await (await call(path)).json()) as { items: Heard[] }).items;
}

/** The presets of a camera that bindings name, and "" for the camera as a whole. */
export async function presetsBound(camera: string): Promise<string[]> {
  const { items } = await all<{ preset: string }>("/v1/bindings", { camera }, 500);
  return [...new Set(["", ...items.map((one) => one.preset)])].sort();
}

/** Say that a loudspeaker is heard where a camera looks, or that it is not. */
export async function decideBinding(binding: { camera: string; preset: string; speaker: string }, decision: "confirm" | "reject"): Promise<void> {
  await post("/v1/bindings/decisions", { bindings: [binding], decision });
}

export interface Answer {
  at: string;
  told: boolean;
  zh: string;
  en: string;
}

/** Who was told of an incident and who was not, and why; null where this gateway tells nobody at all. */
export async function why(incident: string): Promise<Answer[] | null> {
  try {
    const answer = await call(`/v1/alert-deliveries/why?${new URLSearchParams({ incident })}`);
    return ((await answer.json()) as { answers: Answer[] }).answers;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
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

const TYPES = [
  "device.state",
  ...["accepted", "approved", "declined", "delivery", "ended", "clip", "may-still-sound", "fell-silent", "outcome", "picture", "picture-missing", "recorded", "recording-failed"].map((what) => `broadcast.${what}`),
  ...["changed", "ran"].map((what) => `schedule.${what}`),
  "footage.request",
  "footage.custody",
  "footage.papers",
  "footage.hold",
  "inventory.imported",
  ...["opened", "grown", "acknowledged", "unacknowledged", "commented", "assigned", "snoozed", "escalated", "resolved", "reopened"].map((what) => `incident.${what}`),
  ...["changed", "started", "ended"].map((what) => `maintenance.${what}`),
  ...["opened", "accepted", "on-site", "repaired", "sent-back", "closed", "cancelled", "paused", "resumed", "commented", "picture", "overdue"].map((what) => `work-order.${what}`),
];
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
