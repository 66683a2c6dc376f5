import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { City } from "./city";

describe("the ledger", () => {
  let ledger: typeof import("./ledger");
  let shelf: typeof import("./ledger-shelf");
  beforeAll(async () => {
    vi.stubGlobal("localStorage", { getItem: () => "en", setItem: () => undefined });
    vi.stubGlobal("document", { documentElement: { dataset: {} } });
    vi.stubGlobal("setInterval", () => 0);
    ledger = await import("./ledger");
    shelf = await import("./ledger-shelf");
  });

  it("asks for what is wanted and leaves out the rest", () => {
    expect(shelf.query({ outcome: "", from: "", case: " " }).toString()).toBe("");
    expect(shelf.query({ outcome: "none", from: "", case: "C-7" }).toString()).toBe("outcome=none&case=C-7");
    expect(shelf.query({ outcome: "", from: "2026-03-01", case: "" }).get("from")).toBe(new Date("2026-03-01T00:00:00").toISOString());
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

  const silent = { first_packet_at: null, last_packet_at: null, packets: 0, dropped: 0, lost: null };
  const unasked = { ...silent, clip_asked_at: null, clip_confirmed_at: null, clip_stop_asked_at: null, clip_silent_at: null };
  const nowhere = { views: [], zones: [], cells: [], groups: [], districts: [], polygon: [], circle: null, speakers: [] };

  it("tells of a clip that a loudspeaker plays by itself when it was told what and when it answered, and nothing else", () => {
    expect(ledger.timed(unasked)).toBe("");
    const told = ledger.timed({ ...unasked, clip_asked_at: "2026-06-01T10:00:01Z", clip_confirmed_at: "2026-06-01T10:00:02Z", clip_silent_at: "2026-06-01T10:00:09Z" });
    expect(told).toMatch(/^told to play by itself at .*:01 · said at .*:02 that it plays · said at .*:09 that it is silent$/);
    expect(ledger.timed({ ...unasked, clip_stop_asked_at: "2026-06-01T10:00:05Z" })).toMatch(/^told to be silent at .*:05$/);
  });

  it("tells from when to when packets were sent, and what of them is known to be missing", () => {
    const sent = { ...unasked, packets: 350, first_packet_at: "2026-06-01T10:00:01Z", last_packet_at: "2026-06-01T10:00:08Z" };
    expect(ledger.timed({ ...sent, lost: 0 })).toMatch(/^350 packets sent from .*:01 to .*:08$/);
    expect(ledger.timed({ ...sent, dropped: 3, lost: 12 })).toMatch(/ · 3 packets not sent · the loudspeaker reports 12 packets lost$/);
    expect(ledger.timed({ ...sent, last_packet_at: null })).toMatch(/^350 packets sent from .*:01 to .*:01$/);
  });

  it("says that a broadcast waits for somebody before that it goes on, and then at how many it was played", () => {
    const states = (...names: string[]) => names.map((state) => ({ state }));
    expect(ledger.progress({ open: true, deliveries: states("awaiting-approval", "awaiting-approval") })).toBe("waits for approval");
    expect(ledger.progress({ open: true, deliveries: states("done", "playing") })).toBe("under way");
    expect(ledger.progress({ open: false, deliveries: states("done", "cancelled", "failed") })).toBe("1/3");
  });

  it("counts how it stands at many loudspeakers, the most common first and what may still sound before all", () => {
    const many = (n: number, state: string, may_still_sound = false) => Array.from({ length: n }, () => ({ state, may_still_sound }));
    expect(ledger.counted([...many(2, "failed"), ...many(49, "done"), ...many(1, "cancelled", true)])).toBe("may still sound 1 · done 49 · failed 2 · cancelled 1");
    expect(ledger.counted(many(52, "awaiting-approval"))).toBe("waits for a second person 52");
  });

  it("names each place and loudspeaker that was meant, and how many more there are", () => {
    const device = (id: string, name: string) => ({ id, name, kind: "camera", address: "192.0.2.1", state: "up" });
    const city = new City([{ id: "G-1", name: "东昌路" }], [device("SPK-1", "北门音柱"), device("CAM-1", "北门枪机")], [{ id: "Z-1", name: "滨河公园" }, { id: "Z-2", name: "" }]);
    const place = (targets: Partial<typeof nowhere> | object) => ledger.place(city, { targets: { ...nowhere, ...targets } });
    expect(place({ speakers: ["SPK-1", "SPK-2", "SPK-1"] })).toBe("北门音柱, SPK-2");
    expect(place({ zones: ["Z-1", "Z-2", "Z-3"] })).toBe("滨河公园, Z-2, Z-3");
    expect(place({ views: [{ camera: "CAM-1", preset: "gate" }], groups: ["G-1"], speakers: ["SPK-1"] })).toBe("北门枪机 gate, 东昌路, 北门音柱");
    expect(place({ districts: ["东昌府区", "a", "b", "c", "d", "e"] })).toBe("东昌府区, a, b, c and 2 more");
    const corner = { latitude: 36.45, longitude: 115.98 };
    expect(place({ polygon: [corner, corner, corner], circle: { centre: corner, radius_m: 300 } })).toBe("an area of 3 corners, within 300 m of 36.45, 115.98");
  });

  it("names a grid cell, asked for once, and by its code one that is no more", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      asked.push(path);
      return path.endsWith("C%201") ? new Response(JSON.stringify({ name: "古楼街道三" })) : new Response("{}", { status: 404 });
    });
    const one = { targets: { ...nowhere, cells: ["C 1", "C2"] } };
    const city = new City([], []);
    expect(ledger.place(city, one)).toBe("C 1, C2");
    await vi.waitFor(() => expect(ledger.place(city, one)).toBe("古楼街道三, C2"));
    expect(asked).toEqual(["/v1/grid-cells/C%201", "/v1/grid-cells/C2"]);
  });
});

describe("the names of grid cells", () => {
  const square = async () => new Response(JSON.stringify({ name: "古楼街道三" }));

  it("are asked for again where the gateway could not answer", async () => {
    const { cellNamed } = await import("./cells");
    for (const silent of [async () => Promise.reject(new TypeError("away")), async () => new Response("{}", { status: 429 })]) {
      const answer = vi.fn(silent);
      vi.stubGlobal("fetch", answer);
      await vi.waitFor(() => expect([cellNamed("C3"), answer.mock.calls.length]).toEqual(["C3", 2]));
    }
    vi.stubGlobal("fetch", square);
    await vi.waitFor(() => expect(cellNamed("C3")).toBe("古楼街道三"));
  });

  it("are asked for anew by whoever signs in next", async () => {
    const [{ cellNamed }, { phase }] = await Promise.all([import("./cells"), import("./session")]);
    vi.stubGlobal("fetch", square);
    await vi.waitFor(() => expect(cellNamed("C4")).toBe("古楼街道三"));
    phase.value = { at: "loading" };
    phase.value = { at: "signed-out", failed: false };
    vi.stubGlobal("fetch", async () => new Response("{}", { status: 403 }));
    expect(cellNamed("C4")).toBe("C4");
  });
});

describe("what the ledger knows", () => {
  let shelf: typeof import("./ledger-shelf");
  let session: typeof import("./session");
  /** What the gateway has, by the broadcasts' ids: what is said of it in the street. */
  const said = new Map<string, string>();
  const asked: string[] = [];
  /** What is answered only when the test says so. */
  let held: { path: RegExp; go: Promise<void> } | null;
  const entry = (id: string) => {
    const outcome = said.get(id);
    return { id, open: false, created_at: `2026-06-01T10:00:0${id.at(-1)}Z`, outcome: outcome ? { outcome: outcome.split(" ")[0], note: outcome.split(" ")[1] ?? "" } : null };
  };
  const answer = (path: string, sent?: string) => {
    const id = /broadcasts.(B-\d)/.exec(path)?.[1];
    if (sent !== undefined) said.set(id!, Object.values(JSON.parse(sent)).join(" ").trim());
    if (id) return entry(id);
    const unsaid = path.includes("outcome=none");
    return { items: [...said.keys()].sort().reverse().map(entry).filter((one) => !unsaid || one.outcome === null) };
  };

  beforeAll(async () => {
    vi.stubGlobal("EventSource", class { addEventListener() {} close() {} });
    vi.stubGlobal("fetch", async () => new Response(JSON.stringify({ items: [], permissions: ["broadcast:send"], devices: [], groups: [], next: null, reasons: {} })));
    [shelf, session] = await Promise.all([import("./ledger-shelf"), import("./session")]);
    await session.open();
  });

  beforeEach(async () => {
    vi.useFakeTimers();
    vi.stubGlobal("document", { documentElement: { dataset: {} }, querySelector: () => null });
    vi.stubGlobal("fetch", async (path: string, sent?: { body?: string }) => {
      asked.push(`${sent?.body ? "POST" : "GET"} ${path.replace("/v1/broadcasts", "")}`);
      const found = JSON.stringify(answer(path, sent?.body));
      if (held?.path.test(path)) await held.go;
      return new Response(found, { headers: { "Content-Type": "application/json" } });
    });
    session.phase.value = { at: "signed-out", failed: false };
    [held, session.sounded.value, asked.length] = [null, null, 0];
    said.clear();
    said.set("B-1", "").set("B-2", "left");
    await shelf.read();
    asked.length = 0;
  });

  afterEach(() => void vi.useRealTimers());

  let cursor = 0;
  const tells = (id: string) => (session.sounded.value = { id, cursor: ++cursor });
  const passes = () => vi.advanceTimersByTimeAsync(1500);
  const shown = () => shelf.entries.value!.map((one) => `${one.id} ${one.outcome?.outcome ?? "-"}`);
  const hold = (path: RegExp) => {
    let release = () => {};
    held = { path, go: new Promise((resolve) => (release = resolve)) };
    return () => {
      held = null;
      release();
    };
  };

  it("follows events: one read for all that they tell of a broadcast in a second, the whole ledger for a new one, none after the page", async () => {
    const stop = shelf.keepUp();
    said.set("B-1", "nobody");
    [1, 2, 3].forEach(() => tells("B-1"));
    await passes();
    expect([asked, shown()]).toEqual([["GET /B-1"], ["B-2 left", "B-1 nobody"]]);
    said.set("B-3", "");
    tells("B-3");
    await passes();
    expect([asked.length, shown()]).toEqual([2, ["B-3 -", "B-2 left", "B-1 nobody"]]);
    stop();
    tells("B-1");
    await passes();
    expect(asked.length).toBe(2);
  });

  it("shows nothing to whoever signs in next of what was read before, though it comes later", async () => {
    const stop = shelf.keepUp();
    const release = hold(/broadcasts/);
    const signOut = () => [{ at: "loading" } as const, { at: "signed-out", failed: false } as const].forEach((one) => (session.phase.value = one));
    const read = shelf.read();
    tells("B-1");
    await passes(); // a read is on its way, another one waits
    signOut();
    stop();
    release();
    await read;
    await passes();
    expect(shelf.entries.value).toBeNull();
  });

  it("reads later what an event told of while the gateway could not answer, and not after the page", async () => {
    const stop = shelf.keepUp();
    const answers = globalThis.fetch;
    for (const silent of [async () => Promise.reject(new TypeError("away")), async () => new Response("{}", { status: 503 })]) {
      said.set("B-1", said.get("B-1") === "nobody" ? "left" : "nobody");
      vi.stubGlobal("fetch", silent);
      tells("B-1");
      await passes();
      vi.stubGlobal("fetch", answers);
      await vi.advanceTimersByTimeAsync(5000);
      expect(shown()[1]).toBe(`B-1 ${said.get("B-1")}`);
    }
    vi.stubGlobal("fetch", async () => new Response("{}", { status: 503 }));
    tells("B-1");
    await passes();
    stop();
    vi.stubGlobal("fetch", answers);
    asked.length = 0;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked).toEqual([]);
  });

  it("puts nothing that was read before a deed over that deed's answer", async () => {
    const stop = shelf.keepUp();
    shelf.at.value = "B-2";
    const release = hold(/B-2$/);
    tells("B-2");
    await passes(); // the read is on its way, with the outcome of before
    shelf.note("nobody");
    await vi.advanceTimersByTimeAsync(0);
    expect(shown()[0]).toBe("B-2 nobody");
    release();
    await vi.advanceTimersByTimeAsync(0);
    expect([shown()[0], shelf.meant("B-2")]).toEqual(["B-2 nobody", "nobody"]);
    stop();
  });

  it("leaves what is being written where it is, with the outcome that it was begun for, whatever others say meanwhile", async () => {
    const stop = shelf.keepUp();
    shelf.at.value = "B-2";
    shelf.write("B-2", "走");
    said.set("B-2", "passed-on");
    tells("B-2");
    await passes();
    expect([shown()[0], shelf.draft("B-2").words, shelf.meant("B-2")]).toEqual(["B-2 passed-on", "走", "left"]);
    shelf.at.value = "B-1";
    shelf.note("nobody");
    shelf.at.value = "B-2";
    await passes();
    expect([shelf.draft("B-2").words, shelf.meant("B-2")]).toEqual(["走", "left"]);
    shelf.write("B-2", "");
    expect(shelf.meant("B-2")).toBe("passed-on");
    stop();
  });

  it("keeps with a key what is written before the key's outcome is on record, and after it", async () => {
    shelf.at.value = "B-2";
    const release = hold(/outcome$/);
    shelf.note("nobody");
    shelf.write("B-2", "人已走");
    expect(shelf.meant("B-2")).toBe("nobody");
    release();
    await vi.advanceTimersByTimeAsync(0);
    said.set("B-2", "passed-on");
    await shelf.read();
    expect([shelf.draft("B-2").words, shelf.meant("B-2")]).toEqual(["人已走", "nobody"]);
    shelf.note(shelf.meant("B-2")!);
    await vi.advanceTimersByTimeAsync(0);
    expect([said.get("B-2"), shelf.draft("B-2").words]).toEqual(["nobody 人已走", ""]);
  });

  it("waits for what the other outcome was, though the answer to the key before comes meanwhile", async () => {
    shelf.at.value = "B-2";
    const release = hold(/outcome$/);
    shelf.note("nobody");
    shelf.note("other");
    release();
    await vi.advanceTimersByTimeAsync(0);
    expect([said.get("B-2"), shelf.meant("B-2")]).toEqual(["nobody", "other"]);
  });

  it("keeps in its place what is looked at, though it is no longer what was asked for", async () => {
    said.set("B-3", "");
    shelf.wanted.value = { ...shelf.wanted.value, outcome: "none" };
    await shelf.read();
    const stop = shelf.keepUp();
    shelf.at.value = "B-3";
    said.set("B-3", "left").set("B-4", "");
    tells("B-4");
    await passes();
    expect(shown()).toEqual(["B-4 -", "B-3 left", "B-1 -"]);
    await shelf.read();
    expect(shown()).toEqual(["B-4 -", "B-1 -"]);
    stop();
  });
});
