import { beforeAll, describe, expect, it, vi } from "vitest";

describe("schedules", () => {
  let schedules: typeof import("./schedules");
  beforeAll(async () => {
    vi.stubGlobal("localStorage", { getItem: () => "en", setItem: () => undefined });
    vi.stubGlobal("document", { documentElement: { dataset: {} } });
    vi.stubGlobal("setInterval", () => 0);
    schedules = await import("./schedules");
  });

  it("offers what can be done with each state, to who may", () => {
    const all = () => true;
    expect(schedules.steps("active", all)).toEqual(["pause"]);
    expect(schedules.steps("paused", all)).toEqual(["resume"]);
    expect(schedules.steps("awaiting-approval", all)).toEqual(["approve"]);
    expect(schedules.steps("withdrawn", all)).toEqual([]);
    for (const state of ["active", "paused", "awaiting-approval"] as const) expect(schedules.steps(state, () => false)).toEqual([]);
    expect(schedules.steps("awaiting-approval", (permission) => permission === "broadcast:send")).toEqual([]);
  });
});
