// The city as the console knows it: groups and devices, each with a signal of its own, so that one event redraws one tile.
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type State, STATES, stateOf, worst } from "./states";

export type Kind = "camera" | "speaker" | "recorder" | "switch";
export const KINDS: readonly Kind[] = ["camera", "speaker", "recorder", "switch"];

export interface Standing {
  state: State;
  reason: string;
  since: string | null;
}

export interface Device {
  id: string;
  kind: Kind;
  name: string;
  address: string;
  model: string;
  vendor: string;
  serial: string;
  group: string | null;
  cell: string | null;
  uplink: string | null;
  standing: Signal<Standing>;
}

export interface Group {
  id: string;
  name: string;
  cell: string | null;
  street: string;
  district: string;
  latitude: number | null;
  longitude: number | null;
  devices: Device[];
  state: ReadonlySignal<State>;
}

export interface Change {
  cursor: number;
  at: string;
  device: Device;
  before: State;
  after: State;
  reason: string;
}

const RECENT = 60; // changes kept for the list beside the wall

export interface DeviceAnswer {
  id: string;
  kind: string;
  name: string;
  address: string;
  model?: string;
  vendor?: string;
  serial?: string;
  group?: string | null;
  cell?: string | null;
  uplink?: string | null;
  state: string;
  reason?: string;
  since?: string | null;
}

export interface ZoneAnswer {
  id: string;
  name: string;
}

export interface GroupAnswer {
  id: string;
  name: string;
  cell?: string | null;
  street?: string;
  district?: string;
  position?: { latitude: number; longitude: number } | null;
}

export class City {
  readonly devices = new Map<string, Device>();
  readonly groups = new Map<string, Group>();
  /** What zones are called, by their ids. */
  readonly zones: ReadonlyMap<string, string>;
  readonly recent = signal<readonly Change[]>([]);

  constructor(groups: readonly GroupAnswer[], devices: readonly DeviceAnswer[], zones: readonly ZoneAnswer[] = []) {
    this.zones = new Map(zones.map((zone) => [zone.id, zone.name]));
    const members = new Map<string, Device[]>();
    for (const answer of devices) {
      const device = deviceOf(answer);
      this.devices.set(device.id, device);
      if (device.group === null) continue;
      const list = members.get(device.group);
      if (list) list.push(device);
      else members.set(device.group, [device]);
    }
    for (const answer of groups) this.groups.set(answer.id, groupOf(answer, members.get(answer.id) ?? []));
  }

  /** What a device is called; its id where nobody has named it. */
  named(device: string): string {
    return this.devices.get(device)?.name || device;
  }

  /** What a camera group is called; its code where nobody has named it. */
  groupNamed(group: string): string {
    return this.groups.get(group)?.name || group;
  }

  /** How many devices of each kind are in each state. */
  counts(): Record<Kind, Record<State, number>> {
    const counts = Object.fromEntries(KINDS.map((kind) => [kind, Object.fromEntries(STATES.map((state) => [state, 0]))]));
    for (const device of this.devices.values()) counts[device.kind]![device.standing.value.state]! += 1;
    return counts as Record<Kind, Record<State, number>>;
  }

  /** The dead device in front of this one, because of which it cannot be reached; nearest first, loops cut. */
  behind(device: Device): Device | undefined {
    const seen = new Set([device.id]);
    for (let next = device.uplink; next !== null && !seen.has(next); ) {
      seen.add(next);
      const uplink = this.devices.get(next);
      if (uplink?.standing.value.state === "down") return uplink;
      next = uplink?.uplink ?? null;
    }
    return undefined;
  }

  /** Take in one `device.state` event; false when the device is not known, so that the caller reads the city anew. */
  apply(cursor: number, id: string, at: string, data: { before?: string; after?: string; reason?: string }): boolean {
    const device = this.devices.get(id);
    if (device === undefined) return false;
    const after = stateOf(data.after ?? "");
    const before = stateOf(data.before ?? "");
    device.standing.value = { state: after, reason: data.reason ?? "", since: at };
    this.recent.value = [{ cursor, at, device, before, after, reason: data.reason ?? "" }, ...this.recent.value].slice(0, RECENT);
    return true;
  }
}

function deviceOf(answer: DeviceAnswer): Device {
  return {
    id: answer.id,
    kind: answer.kind as Kind,
    name: answer.name,
    address: answer.address,
    model: answer.model ?? "",
    vendor: answer.vendor ?? "",
    serial: answer.serial ?? "",
    group: answer.group ?? null,
    cell: answer.cell ?? null,
    uplink: answer.uplink ?? null,
    standing: signal({ state: stateOf(answer.state), reason: answer.reason ?? "", since: answer.since ?? null }),
  };
}

function groupOf(answer: GroupAnswer, devices: Device[]): Group {
  return {
    id: answer.id,
    name: answer.name,
    cell: answer.cell ?? null,
    street: answer.street ?? "",
    district: answer.district ?? "",
    latitude: answer.position?.latitude ?? null,
    longitude: answer.position?.longitude ?? null,
    devices,
    state: computed(() => worst(devices.map((device) => device.standing.value.state))),
  };
}
