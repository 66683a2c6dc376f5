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

  it("says in words when each speaks, and shows a rule as it stands that people seldom write", async () => {
    const [{ ruled }, { language }] = await Promise.all([import("./rules"), import("./i18n")]);
    const said = (rrule: string, timezone = Intl.DateTimeFormat().resolvedOptions().timeZone) => ruled({ rrule, start: "2026-09-01T08:30:00Z", timezone });
    expect(said("", "Asia/Shanghai")).toMatch(/^Once 16:30( .Asia\/Shanghai.)? · 1 Sept? 2026$/);
    expect(said("FREQ=DAILY", "America/New_York")).toMatch(/^Daily 04:30 .America\/New_York. · from 1 Sept? 2026$/);
    expect(said("rrule:freq=weekly;byday=MO,FR;count=1".toUpperCase())).toMatch(/^Every Mon, Fri .* · from .* · 1 time$/);
    expect(said("FREQ=WEEKLY;INTERVAL=2;UNTIL=20261231T000000Z")).toMatch(/^Every 2 weeks on Tue .* · until 31 Dec 2026$/);
    expect(said("FREQ=MONTHLY;BYMONTHDAY=15")).toMatch(/^Monthly on day 15 /);
    for (const rule of ["FREQ=MONTHLY;BYDAY=1MO", "FREQ=DAILY;BYMONTH=6", "FREQ=YEARLY", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=WEEKLY;INTERVAL=2;WKST=SU"]) expect(said(rule).startsWith(`${rule} `)).toBe(true);
    language.value = "zh";
    expect(said("FREQ=WEEKLY;BYDAY=MO,FR", "Asia/Shanghai")).toMatch(/^每周一、周五 16:30( .Asia\/Shanghai.)? · 自 2026年9月1日起$/);
    expect(said("FREQ=DAILY;COUNT=3")).toMatch(/^每天 .* · 共 3 次$/);
    language.value = "en";
  });
});
