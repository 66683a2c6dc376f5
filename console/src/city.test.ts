import { expect, test } from "vitest";
import { City } from "./city";
import en from "./locales/en.json";
import zh from "./locales/zh.json";
import { stateOf, worst } from "./states";

const groups = [{ id: "g1", name: "Station Square", cell: "371502001001001", district: "东昌府区", street: "古楼街道" }];
const devices = [
  { id: "c1", kind: "camera", name: "cam 1", address: "127.16.0.1", group: "g1", state: "up" },
  { id: "c2", kind: "camera", name: "cam 2", address: "127.16.0.2", group: "g1", state: "up" },
  { id: "r1", kind: "recorder", name: "nvr 1", address: "127.41.0.1", state: "up" },
];

test("a group is as bad as its worst device, and follows events", () => {
  const city = new City(groups, devices);
  const group = city.groups.get("g1")!;
  expect(group.state.value).toBe("up");
  expect(city.apply(7, "c2", "2026-01-01T00:00:00Z", { before: "up", after: "down", reason: "timeout" })).toBe(true);
  expect(group.state.value).toBe("down");
  expect(city.counts().camera).toEqual({ up: 1, down: 1, degraded: 0, unknown: 0 });
  expect(city.recent.value[0]).toMatchObject({ cursor: 7, before: "up", after: "down", reason: "timeout" });
});

test("an event of an unknown device asks for the city to be read anew", () => {
  expect(new City(groups, devices).apply(8, "c9", "2026-01-01T00:00:00Z", { after: "up" })).toBe(false);
});

test("what is in front of a device and down is found, nearest first, also where the inventory has a loop", () => {
  const chain = [
    { id: "agg", kind: "switch", name: "agg", address: "127.64.0.1", state: "down", uplink: "sw" },
    { id: "sw", kind: "switch", name: "sw", address: "127.64.0.2", state: "up", uplink: "agg" },
    { id: "c1", kind: "camera", name: "cam 1", address: "127.16.0.1", state: "down", uplink: "sw" },
  ];
  const city = new City([], chain);
  expect(city.behind(city.devices.get("c1")!)?.id).toBe("agg");
  expect(city.behind(city.devices.get("agg")!)).toBeUndefined();
  city.apply(1, "sw", "2026-01-01T00:00:00Z", { before: "up", after: "down" });
  expect(city.behind(city.devices.get("c1")!)?.id).toBe("sw");
});

test("the list of changes is bounded", () => {
  const city = new City(groups, devices);
  for (let n = 0; n < 500; n++) city.apply(n, "c1", "2026-01-01T00:00:00Z", { after: n % 2 ? "up" : "down" });
  expect(city.recent.value.length).toBe(60);
});

test("a group without devices and a state of a newer gateway are unknown", () => {
  expect(worst([])).toBe("unknown");
  expect(stateOf("quarantined")).toBe("unknown");
});

test("both languages have the same keys and places", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const key of Object.keys(en) as (keyof typeof en)[]) expect(places(zh[key]), key).toEqual(places(en[key]));
});
