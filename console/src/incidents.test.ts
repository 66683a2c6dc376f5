import { expect, test } from "vitest";
import { Desk, type Incident, type Window } from "./incidents";

const incident = (id: string, more: Partial<Incident> = {}): Incident => ({
  id, state: "open", severity: "major", trouble: "down", cause: { kind: "device", device: "sw-1", scope: null, key: "sw-1", name: "" }, reason: "",
  title: { zh: "交换机", en: "switch" }, opened_at: "2026-01-01T00:00:00Z", acknowledged_at: null, acknowledged_by: "", assignee: "", snoozed_until: null,
  resolved_at: null, resolved_by: "", escalation_level: 0, devices: 1, kinds: {}, groups: [], districts: [], members: [], ...more,
});

const window = (more: Partial<Window>): Window => ({
  id: "M-1", devices: [], groups: [], cells: [], districts: [], vendors: [], everything: false, start: "2026-01-01T00:00:00Z", end: null, rrule: null,
  reason: "", created_by: "", cancelled_at: null, in_force: true, span: null, ...more,
});

test("open comes before acknowledged, then the worst, then the newest", () => {
  const desk = new Desk(
    [
      incident("seen", { state: "acknowledged", severity: "critical" }),
      incident("old"),
      incident("new", { opened_at: "2026-01-02T00:00:00Z" }),
      incident("worst", { severity: "critical" }),
      incident("gone", { state: "resolved", resolved_at: "2026-01-01T01:00:00Z" }),
    ],
    [],
  );
  expect(desk.shown("live", "").map((one) => one.id)).toEqual(["worst", "new", "old", "seen"]);
  expect(desk.shown("resolved", "").map((one) => one.id)).toEqual(["gone"]);
  expect(desk.shown("live", "nothing like it")).toEqual([]);
});

test("an event carries the whole incident, and resolved ones are bounded", () => {
  const desk = new Desk([incident("a")], []);
  desk.take(incident("a", { state: "acknowledged" }));
  expect(desk.live.value[0]!.state).toBe("acknowledged");
  for (let n = 0; n < 400; n++) desk.take(incident(`r${n}`, { state: "resolved", resolved_at: new Date(n * 1000).toISOString() }));
  expect(desk.shown("resolved", "").length).toBe(300);
  expect(desk.shown("resolved", "")[0]!.id).toBe("r399");
});

test("a window in force mutes what it names by device, group, cell, district or vendor, and nothing else", () => {
  const camera = { id: "c1", group: "g1", cell: "x1", vendor: "Acme" };
  const mutes = (more: Partial<Window>) => new Desk([], [window(more)]).mutes(camera, "历下") !== undefined;
  for (const places of [{ devices: ["c1"] }, { groups: ["g1"] }, { cells: ["x1"] }, { districts: ["历下"] }, { vendors: ["Acme"] }, { everything: true }]) {
    expect(mutes(places), JSON.stringify(places)).toBe(true);
    expect(mutes({ ...places, in_force: false })).toBe(false);
  }
  expect(mutes({ devices: ["c2"], groups: ["g2"], vendors: [""], districts: [""] })).toBe(false);
});
