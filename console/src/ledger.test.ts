import { beforeAll, describe, expect, it, vi } from "vitest";
import { City } from "./city";

describe("the ledger", () => {
  let ledger: typeof import("./ledger");
  beforeAll(async () => {
    vi.stubGlobal("localStorage", { getItem: () => "en", setItem: () => undefined });
    vi.stubGlobal("document", { documentElement: { dataset: {} } });
    vi.stubGlobal("setInterval", () => 0);
    ledger = await import("./ledger");
  });

  it("asks for what is wanted and leaves out the rest", () => {
    expect(ledger.query({ outcome: "", from: "", case: " " }).toString()).toBe("");
    expect(ledger.query({ outcome: "none", from: "", case: "C-7" }).toString()).toBe("outcome=none&case=C-7");
    expect(ledger.query({ outcome: "", from: "2026-03-01", case: "" }).get("from")).toBe(new Date("2026-03-01T00:00:00").toISOString());
  });

  it("says what became of a recording, and why there is none", () => {
    const recording = { state: "kept", state_zh: "已存录音", state_en: "kept", reason: "", sha256: "a".repeat(64), size: 9, duration_ms: 12_340, gone: false };
    expect(ledger.recorded(recording)).toBe("kept · 12.3 s");
    expect(ledger.recorded({ ...recording, gone: true })).toContain("dropped");
    expect(ledger.recorded({ ...recording, state_en: "failed", reason: "storage-failed", duration_ms: 0 })).toBe("failed · storage-failed");
  });

  it("names a picture that came late, with the first packet's time, and says why another is missing", () => {
    const picture = { camera: "C1", moment: "during" as const, sha256: "a", at: "2026-06-01T10:00:02Z", first_packet_at: "2026-06-01T10:00:01Z", gone: false };
    const one = { open: false, deliveries: [], pictures: [picture], missing_pictures: [{ camera: "C1", moment: "after" as const, reason: "timeout" }] };
    const before = ledger.taken(one, "C1", "before");
    expect([before.picture, before.late]).toEqual([picture, true]);
    expect(before.said).toMatch(/:02.*first packet .*:01/);
    expect(ledger.taken(one, "C1", "after")).toEqual({ said: "no picture · timeout", late: false });
  });

  it("says of a picture that may still come that it is awaited", () => {
    const ended = (minutesAgo: number) => [{ since: new Date(Date.now() - minutesAgo * 60_000).toISOString() }];
    const said = (more: { open: boolean; deliveries: { since: string }[] }, missing_pictures: { camera: string; moment: "after"; reason: string }[] = []) =>
      ledger.taken({ pictures: [], missing_pictures, ...more }, "C1", "after").said;
    expect(said({ open: true, deliveries: ended(90) })).toMatch(/^awaited/);
    expect(said({ open: false, deliveries: [...ended(90), ...ended(1)] })).toMatch(/^awaited/);
    expect(said({ open: false, deliveries: ended(90) })).toBe("no picture");
    expect(said({ open: false, deliveries: ended(1) }, [{ camera: "C1", moment: "after", reason: "timeout" }])).toBe("no picture · timeout");
  });

  it("shows the gateway's remarks in the reader's language, whatever the reason", async () => {
    const [{ remarked }, { language }] = await Promise.all([import("./voice"), import("./i18n")]);
    const remark = { remark: "end-refused", remark_zh: "设备拒绝结束会话", remark_en: "refused the end of the session" };
    const one = { reason: "busy", detail: "453 Not Enough Bandwidth", remarks: [remark, { ...remark, remark_zh: "未核实身份", remark_en: "its identity was not checked" }] };
    expect(remarked(one)).toBe("note: refused the end of the session; its identity was not checked");
    language.value = "zh";
    expect(remarked(one)).toBe("备注：设备拒绝结束会话；未核实身份");
    expect(remarked({ reason: "", detail: "", remarks: [] })).toBe("");
    expect(remarked({ reason: "", detail: "said in the first months", remarks: [] })).toBe("备注：said in the first months");
    language.value = "en";
  });

  it("tells of a clip that a loudspeaker plays by itself when it was told what and when it answered, and nothing else", () => {
    const none = { clip_asked_at: null, clip_confirmed_at: null, clip_stop_asked_at: null, clip_silent_at: null };
    expect(ledger.timed(none)).toBe("");
    const told = ledger.timed({ ...none, clip_asked_at: "2026-06-01T10:00:01Z", clip_confirmed_at: "2026-06-01T10:00:02Z", clip_silent_at: "2026-06-01T10:00:09Z" });
    expect(told).toMatch(/^told to play by itself at .*:01 · said at .*:02 that it plays · said at .*:09 that it is silent$/);
    expect(ledger.timed({ ...none, clip_stop_asked_at: "2026-06-01T10:00:05Z" })).toMatch(/^told to be silent at .*:05$/);
  });

  it("names the place that was meant, and the loudspeakers where none was", () => {
    const device = (id: string, name: string) => ({ id, name, kind: "camera", address: "192.0.2.1", state: "up" });
    const city = new City([{ id: "G-1", name: "东昌路" }], [device("SPK-1", "北门音柱"), device("CAM-1", "北门枪机")], [{ id: "Z-1", name: "滨河公园" }, { id: "Z-2", name: "" }]);
    const targets = { views: [], zones: [], cells: [], groups: [], districts: [] };
    const deliveries = [{ speaker: "SPK-1", state: "done", reason: "" }];
    expect(ledger.place(city, { targets, deliveries })).toBe("北门音柱");
    expect(ledger.place(city, { targets, deliveries: [{ speaker: "SPK-2" }] })).toBe("SPK-2");
    expect(ledger.place(city, { targets: { ...targets, zones: ["Z-1", "Z-2", "Z-3"] }, deliveries })).toBe("滨河公园, Z-2, Z-3");
    expect(ledger.place(city, { targets: { ...targets, views: [{ camera: "CAM-1", preset: "gate" }], groups: ["G-1"] }, deliveries })).toBe("北门枪机 gate, 东昌路");
  });
});
