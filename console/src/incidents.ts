// Incidents and maintenance windows as the console knows them: read once, then kept true by events that carry the whole thing.
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";

export const SEVERITIES = ["critical", "major", "minor", "warning"] as const;
export type Severity = (typeof SEVERITIES)[number];
export type Stage = "open" | "acknowledged" | "resolved";
export type Act = "acknowledge" | "unacknowledge" | "comment" | "assign" | "snooze" | "resolve" | "reopen";

export interface Member {
  id: string;
  name: string;
  kind: string | null;
  role: "root" | "explained";
  state: string;
  reason: string;
  since: string;
  until: string | null;
}

export interface Incident {
  id: string;
  state: Stage;
  severity: Severity;
  trouble: string;
  cause: { kind: "device" | "common" | "gateway"; device: string | null; scope: string | null; key: string; name: string };
  reason: string;
  title: { zh: string; en: string };
  opened_at: string;
  acknowledged_at: string | null;
  acknowledged_by: string;
  acknowledger?: string;
  assignee: string;
  snoozed_until: string | null;
  resolved_at: string | null;
  resolved_by: string;
  escalation_level: number;
  devices: number;
  kinds: Record<string, number>;
  groups: string[];
  districts: string[];
  blind_cameras?: { count: number; ids: string[] };
  members: Member[];
}

export interface Entry {
  number: number;
  at: string;
  what: string;
  actor: string;
  name: string;
  comment: string;
  detail: Record<string, unknown>;
}

export interface Window {
  id: string;
  devices: string[];
  groups: string[];
  cells: string[];
  districts: string[];
  vendors: string[];
  everything: boolean;
  start: string;
  end: string | null;
  rrule: string | null;
  reason: string;
  created_by: string;
  creator?: string;
  cancelled_at: string | null;
  in_force: boolean;
  span: { start: string; end: string } | null;
}

export interface Clock {
  due_at: string | null;
  overdue: boolean;
}

/** A work order: what a maintainer is asked to repair. */
export interface Order {
  id: string;
  state: "open" | "accepted" | "on-site" | "repaired" | "closed" | "cancelled";
  severity: Severity;
  maintainer: string;
  technician: string;
  what: string;
  incident: string | null;
  opened_at: string;
  paused: boolean;
  closing_note: string;
  clocks: Record<string, Clock | undefined>;
  device_count: number;
}

export type Shelf = "live" | Stage;

const RANK: Record<string, number> = { critical: 0, major: 1, minor: 2, warning: 3 };
const KEPT = 300; // resolved incidents that are kept beside the live ones

/** Open before acknowledged, then the worst, then the newest; of resolved ones the last resolved first. */
export function inOrder(a: Incident, b: Incident): number {
  if (a.state === "resolved" && b.state === "resolved") return (b.resolved_at ?? "").localeCompare(a.resolved_at ?? "");
  const stage = (one: Incident) => (one.state === "open" ? 0 : one.state === "acknowledged" ? 1 : 2);
  return stage(a) - stage(b) || (RANK[a.severity] ?? 4) - (RANK[b.severity] ?? 4) || b.opened_at.localeCompare(a.opened_at);
}

export class Desk {
  readonly incidents: Signal<ReadonlyMap<string, Incident>>;
  readonly windows: Signal<ReadonlyMap<string, Window>>;
  readonly live: ReadonlySignal<Incident[]>;
  /** What is in the live incidents, as far as they list their members: device → incident. */
  readonly of: ReadonlySignal<ReadonlyMap<string, Incident>>;

  readonly orders: Signal<ReadonlyMap<string, Order>>;

  constructor(incidents: readonly Incident[], windows: readonly Window[], orders: readonly Order[] = []) {
    this.orders = signal(new Map(orders.map((one) => [one.id, one])));
    this.incidents = signal(new Map(incidents.map((one) => [one.id, one])));
    this.windows = signal(new Map(windows.map((one) => [one.id, one])));
    this.live = computed(() => [...this.incidents.value.values()].filter((one) => one.state !== "resolved").sort(inOrder));
    this.of = computed(() => {
      const found = new Map<string, Incident>();
      for (const one of this.live.value) for (const member of one.members) if (member.until === null) found.set(member.id, one);
      return found;
    });
  }

  shown(shelf: Shelf, words: string): Incident[] {
    const needle = words.trim().toLowerCase();
    return [...this.incidents.value.values()]
      .filter((one) => (shelf === "live" ? one.state !== "resolved" : one.state === shelf))
      .filter((one) => needle === "" || mentions(one, needle))
      .sort(inOrder);
  }

  take(incident: Incident): void {
    const next = new Map(this.incidents.value);
    next.set(incident.id, incident);
    const resolved = [...next.values()].filter((one) => one.state === "resolved");
    if (resolved.length > KEPT) for (const one of resolved.sort(inOrder).slice(KEPT)) next.delete(one.id);
    this.incidents.value = next;
  }

  takeWindow(window: Window): void {
    this.windows.value = new Map(this.windows.value).set(window.id, window);
  }

  takeOrder(order: Order): void {
    this.orders.value = new Map(this.orders.value).set(order.id, order);
  }

  /** The window that mutes a device now, if any. */
  mutes(device: { id: string; group: string | null; cell: string | null; vendor: string }, district: string): Window | undefined {
    for (const one of this.windows.value.values()) {
      if (!one.in_force) continue;
      const named = one.everything || one.devices.includes(device.id) || (device.vendor !== "" && one.vendors.includes(device.vendor));
      const placed = (device.group !== null && one.groups.includes(device.group)) || (device.cell !== null && one.cells.includes(device.cell));
      if (named || placed || (district !== "" && one.districts.includes(district))) return one;
    }
    return undefined;
  }
}

function mentions(incident: Incident, needle: string): boolean {
  const own = [incident.id, incident.title.zh, incident.title.en, incident.reason, incident.cause.name, incident.cause.key, incident.assignee];
  return own.some((text) => text?.toLowerCase().includes(needle)) || incident.members.some((one) => `${one.id} ${one.name}`.toLowerCase().includes(needle));
}
