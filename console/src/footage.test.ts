import { beforeAll, describe, expect, it, vi } from "vitest";
import { City } from "./city";
import type { Dossier, Draft, Register } from "./footage";
import type { Fault } from "./i18n";

const REGISTER: Register = {
  ...{ case_kinds: { criminal: "刑事案件", traffic: "道路交通事故" }, legal_bases: { evidence: "调取证据通知书" } },
  ...{ case_kinds_en: { criminal: "criminal case", traffic: "road accident" }, legal_bases_en: { evidence: "notice to obtain evidence" } },
};
const NOW = new Date(2026, 8, 21, 14, 3, 30);

describe("the footage desk", () => {
  let footage: typeof import("./footage");
  let words: typeof import("./i18n");
  let shelf: typeof import("./footage-shelf");
  let refused: typeof import("./api").Refused;
  const stored: Record<string, string> = {};
  beforeAll(async () => {
    vi.stubGlobal("localStorage", { getItem: (name: string) => stored[name] ?? (name === "language" ? "en" : null), setItem: () => undefined });
    vi.stubGlobal("document", { documentElement: { dataset: {} } });
    vi.stubGlobal("setInterval", () => 0);
    footage = await import("./footage");
    words = await import("./i18n");
    shelf = await import("./footage-shelf");
    refused = (await import("./api")).Refused;
  });
  const whole = (): Draft => ({
    ...footage.blank(NOW, { unit: "治安大队" }, REGISTER),
    ...{ requester: "王建国", badge: "0417", second_officer: "李敏", case_number: "C-1", authorising_document: "D-1" },
    places: [
      { kind: "camera", id: "CAM-1", name: "cam 1" },
      { kind: "cell", id: "371502001", name: "371502001" },
    ],
  });

  it("begins with ten minutes that are over, the unit of last time, and the first of each list", () => {
    const draft = footage.blank(NOW, { unit: "治安大队", case_kind: "traffic", legal_basis: "gone" }, REGISTER);
    expect([draft.start, draft.minutes, draft.unit, draft.case_kind, draft.legal_basis]).toEqual(["2026-09-21T13:40:00", "10", "治安大队", "traffic", "evidence"]);
    expect([...footage.faultsOf(draft, NOW).keys()]).toEqual(["requester", "badge", "case_number", "authorising_document", "places"]);
  });

  it("sends what was typed, and says by itself what seldom changes", () => {
    expect(footage.faultsOf(whole(), NOW).size).toBe(0);
    const body = footage.bodyOf(whole(), REGISTER);
    expect(body).toMatchObject({ cameras: ["CAM-1"], groups: [], cells: ["371502001"], purpose: "刑事案件", destination: "治安大队", urgency: "normal" });
    expect([body["start"], body["end"]]).toEqual([new Date(2026, 8, 21, 13, 40).toISOString(), new Date(2026, 8, 21, 13, 50).toISOString()]);
    expect(footage.bodyOf({ ...whole(), purpose: " 查明经过 ", destination: "入卷" }, REGISTER)).toMatchObject({ purpose: "查明经过", destination: "入卷" });
  });

  it("finds what is plainly wrong before the gateway is asked", () => {
    const faults = (change: Partial<Draft>) => Object.fromEntries(footage.faultsOf({ ...whole(), ...change }, NOW));
    expect(faults({ second_officer: "王 建国" })).toEqual({ second_officer: "footage.fault.same" });
    expect(faults({ start: "" })).toEqual({ start: "footage.fault.time" });
    for (const minutes of ["", "0", "-3", "ten", "1e9"]) expect(faults({ minutes }), minutes).toEqual({ minutes: "footage.fault.minutes" });
    expect(faults({ minutes: "24" })).toEqual({ minutes: "footage.fault.future" });
  });

  it("shows a fault of the gateway's at its field, and one that no field has beside all", () => {
    const pointers = { "/cameras/3": "places", "/end": "minutes", "/start": "start", "/badge": "badge", "/urgency": "urgent", "/colour": null, "": null };
    for (const [pointer, field] of Object.entries(pointers)) expect(footage.fieldOf(pointer), pointer).toBe(field);
    const said = [
      { pointer: "/cameras/0", detail: "no camera" },
      { pointer: "/cells/0", detail: "no cell" },
      { pointer: "/colour", detail: "is not known" },
    ];
    expect(Object.fromEntries(shelf.toldBy(new refused(422, "3 faults", "bad-request", said)))).toEqual({ places: "no camera; no cell", "": "/colour is not known" });
    expect(Object.fromEntries(shelf.toldBy(new Error("offline")))).toEqual({ "": "offline" });
  });

  it("says in the reader's language what is wrong with a field, and in the gateway's English what it has no words for", () => {
    const said: Fault[] = [
      { pointer: "/end", detail: "is more than 2:00:00 after the start", code: "window-too-long", values: { most: "2:00:00" } },
      { pointer: "/badge", detail: "must have at most 40 characters", code: "string-too-long", values: { max_length: 40 } },
      { pointer: "/unit", detail: "is $& odd", code: "constructor" },
    ];
    const told = () => Object.fromEntries(shelf.toldBy(new refused(422, "3 faults", "bad-request", said)));
    expect(told()).toEqual({ minutes: said[0]!.detail, badge: said[1]!.detail, unit: "is $& odd" });
    words.language.value = "zh";
    expect(told()).toEqual({ minutes: "时段过长（含误差最多 2:00:00），请分次申请", badge: "最多 40 个字符", unit: "is $& odd" });
    words.language.value = "en";
  });

  it("says beside a file when it was read again and what came of it, in the reader's language", async () => {
    const { Checked } = await import("./footage-checked");
    const found = { "a.mp4": "", "b.mp4": "has another SHA-256 than was stored", "c.mp4": "cannot be read: Input/output error", SHA256SUMS: "is too large" };
    const checks = Object.entries(found).map(([name, found]) => ({ name, checked_at: "2026-09-21T06:00:00Z", found }));
    const shown = (of: string) => (Checked({ one: { checks }, of }) as { props: { class: string; children: string } } | null)?.props;
    const at = () => words.exact("2026-09-21T06:00:00Z");
    expect([shown("a.mp4")?.class, shown("a.mp4")?.children]).toEqual(["dim checked", `checked ${at()}: as it was stored`]);
    expect([shown("b.mp4")?.class, shown("b.mp4")?.children]).toEqual(["wrong checked", `checked ${at()}: damaged (has another SHA-256 than was stored)`]);
    expect(shown("d.mp4")).toBeUndefined();
    words.language.value = "zh";
    const damaged = { "b.mp4": "SHA-256 与存入时不同", "c.mp4": "无法读取: Input/output error", SHA256SUMS: "is too large" };
    for (const [name, words] of Object.entries(damaged)) expect(shown(name)?.children, name).toBe(`${at()} 巡检：有损坏（${words}）`);
    expect(shown("a.mp4")?.children).toBe(`${at()} 巡检：与存入时一致`);
    words.language.value = "en";
  });

  it("says of a hold's files which are damaged, and of the others since when all were read again", async () => {
    const { CheckedFiles } = await import("./footage-checked");
    const check = (name: string, day: number, found = "") => ({ name, checked_at: `2026-09-${day}T06:00:00Z`, found });
    const said = (checks: Parameters<typeof CheckedFiles>[0]["checks"]) => {
      const [each, rest] = (CheckedFiles({ checks }) as { props: { children: [unknown[], { props: { children: string } } | false] } }).props.children;
      return [each.filter(Boolean).length, rest && rest.props.children];
    };
    const [at, later] = [words.exact("2026-09-20T06:00:00Z"), words.exact("2026-09-21T06:00:00Z")];
    expect(said([])).toEqual([0, false]);
    expect(said([check("a", 21)])).toEqual([0, `1 file checked, at ${later}: as it was stored`]);
    expect(said([check("a", 21), check("b", 20), check("c", 19, "is missing")])).toEqual([1, `2 files checked since ${at}: as they were stored`]);
  });

  it("names in a line of custody the camera whose file was damaged or fetched", async () => {
    const { detail } = await import("./footage-dossier");
    const line = { name: "a.mp4", camera: "cam-1", sha256: "0", why: "is missing" };
    expect(detail(line, (camera) => `East gate ${camera}`)).toBe("a.mp4 · East gate cam-1 · is missing");
  });

  it("names in a line of custody what was asked for in vain and how often, and what was had from another request", async () => {
    const { detail } = await import("./footage-dossier");
    const told = () => detail({ why: "not-yours", times: 9, asked: ["a.mp4", "b.mp4"], others: 2 }, String);
    const had = { name: "a.mp4", taken_over: true, fetched_at: "2026-09-21T06:00:00Z" };
    expect(detail(had, String)).toBe(`a.mp4 · fetched ${words.exact(had.fetched_at)} for another request, which asked for the same`);
    expect([told(), detail({ why: "not-yours", times: 1 }, String)]).toEqual(["not-yours · a.mp4 · b.mp4 · 9 times more · 2 of them for others still", "not-yours · once more"]);
    words.language.value = "zh";
    expect(told()).toBe("not-yours · a.mp4 · b.mp4 · 又 9 次 · 其中 2 次为未列名的其他内容");
    words.language.value = "en";
  });

  it("names each field in a refusal that a reader of Chinese gets, instead of the gateway's English summary", async () => {
    const { post } = await import("./api");
    const errors = Array.from({ length: 6 }, (_, at) => ({ pointer: `/${at}`, detail: "is missing", code: "missing" }));
    const problem = { type: "urn:city-gateway:problem:invalid-input", detail: "The body is not right.", errors };
    const fetched = vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(JSON.stringify(problem), { status: 422 }));
    await expect(post("/v1/x", {})).rejects.toThrow(/^The body is not right.$/);
    words.language.value = "zh";
    await expect(post("/v1/x", {})).rejects.toThrow("填写有误：/0 必填；/1 必填；/2 必填；/3 必填；/4 必填……");
    words.language.value = "en";
    fetched.mockRestore();
  });

  it("asks a citizen for a name, an identity card and a reason, and lets an emergency's papers follow", () => {
    const citizen: Draft = { ...whole(), kind: "citizen", unit: "", case_number: "", authorising_document: "", second_officer: "" };
    expect([...footage.faultsOf(citizen, NOW).keys()]).toEqual(["purpose"]);
    const body = footage.bodyOf({ ...citizen, purpose: "找孩子" }, REGISTER);
    expect(body).toMatchObject({ kind: "citizen", badge: "0417", purpose: "找孩子" });
    expect(["case_kind", "legal_basis", "unit", "destination"].filter((name) => name in body)).toEqual([]);
    const hurried: Draft = { ...whole(), authorising_document: "", second_officer: "", emergency: "missing-person", tolerance: "5" };
    expect(footage.faultsOf(hurried, NOW).size).toBe(0);
    expect(footage.bodyOf(hurried, REGISTER)).toMatchObject({ emergency: "missing-person", urgency: "urgent", tolerance_s: 300 });
    expect([...footage.faultsOf({ ...hurried, emergency: "", tolerance: "-1" }, NOW).keys()]).toEqual(["authorising_document", "tolerance"]);
  });

  it("offers a reader what the state and the permissions allow", () => {
    const may = (...allowed: string[]) => (permission: string) => allowed.includes(permission);
    const liaison = may("footage:request", "footage:download");
    const approver = may("footage:approve");
    const one = (state: (typeof footage.STATES)[number], more = {}) => ({ state, kind: "police" as const, emergency: null, decided_by: null, owing: false, missing: [], ...more });
    expect(footage.steps(one("submitted"), approver, false)).toEqual(["approve", "reject"]);
    expect(footage.steps(one("submitted"), liaison, true)).toEqual(["cancel"]);
    expect(footage.steps(one("partial"), liaison, true)).toEqual(["hand-over", "close-nothing-found", "close-no-copy", "retry"]);
    expect(footage.steps(one("ready"), approver, false)).toEqual([]);
    expect(footage.steps(one("ready", { kind: "citizen" }), liaison, true)).toEqual(["close-nothing-found", "close-no-copy"]);
    expect(footage.STATES.filter((state) => footage.waits(one(state), approver, false))).toEqual(["submitted"]);
    expect(footage.STATES.filter((state) => footage.waits(one(state), liaison, true))).toEqual(["ready", "partial", "failed"]);
    const emergency = { emergency: "hot-pursuit" as const, owing: true };
    expect(footage.steps(one("exporting", emergency), approver, false)).toEqual(["confirm", "revoke"]);
    expect(footage.steps(one("exporting", { ...emergency, decided_by: { name: "a", actor: "b" } }), approver, false)).toEqual(["revoke"]);
    expect(footage.nextOf(one("exporting", emergency), approver, false)).toBe("footage.next.confirm");
    expect(footage.steps(one("ready", emergency), liaison, true)).toEqual(["close-nothing-found", "close-no-copy"]);
    expect(footage.steps(one("ready", { ...emergency, decided_by: { name: "a", actor: "b" } }), liaison, true)).toEqual(["hand-over", "close-nothing-found", "close-no-copy"]);
    for (const state of footage.STATES) expect(footage.nextOf(one(state), liaison, true)).toMatch(/^footage\.next\./);
    expect([true, false].map((mine) => footage.nextOf(one("ready", { missing: ["badge"] }), liaison, mine))).toEqual(["footage.next.complete", "footage.next.completed"]);
    expect(footage.nextOf(one("ready", { ...emergency, missing: ["badge"], decided_by: { name: "a", actor: "b" } }), liaison, true)).toBe("footage.next.fetch");
    expect(footage.asked("close-no-copy", "x")).toEqual({ what: "close", body: { found_something: true, note: "x" } });
    expect(footage.asked("hand-over", "王")).toEqual({ what: "hand-over", body: { receiver: "王" } });
    expect(footage.asked("retry", "")).toEqual({ what: "retry", body: undefined });
  });

  it("doubts a time that lies more than a year back", () => {
    const window = (year: number) => footage.windowOf({ start: `${year}-03-01T08:00:00`, minutes: "10" })!;
    const now = Date.parse("2026-06-01T00:00:00Z");
    expect([2001, 2025, 2026].map((year) => footage.longAgo(window(year), now))).toEqual([true, true, false]);
  });

  it("words the maintained lists in the reader's language, and sends the wording that papers print", async () => {
    expect(footage.wordings(REGISTER, "case_kinds", "en")["traffic"]).toBe("road accident");
    expect(footage.wordings(REGISTER, "case_kinds", "zh")["traffic"]).toBe("道路交通事故");
    expect(footage.wordings(null, "legal_bases", "en")).toEqual({});
    expect(footage.bodyOf({ ...whole(), case_kind: "traffic" }, REGISTER)["purpose"]).toBe("道路交通事故");
    const [{ listed, register }, { language }] = await Promise.all([import("./footage-shelf"), import("./i18n")]);
    register.value = REGISTER;
    [language.value] = ["en"];
    expect([listed("legal_bases", "evidence"), listed("legal_bases", "gone")]).toEqual(["notice to obtain evidence", "gone"]);
    register.value = null;
  });

  it("knows whether a copy of it has left", () => {
    const file = (downloads: number) => ({ downloads }) as Dossier["files"][number];
    const custody = (...steps: string[]) => steps.map((step) => ({ step }) as Dossier["custody"][number]);
    const one = { files: [file(0)], brought: [], custody: custody("submitted", "approved", "downloaded", "viewed") };
    expect(footage.copied(one)).toBe(false); // what was downloaded is a paper
    expect(footage.copied({ ...one, files: [file(0), file(1)] })).toBe(true);
    for (const step of ["linked", "sent"]) expect(footage.copied({ ...one, custody: custody("approved", step) })).toBe(true);
  });

  it("offers a request only to who filed it or may approve, and a decision never to who filed it, and says why", () => {
    const both = (permission: string) => ["footage:request", "footage:download", "footage:approve"].includes(permission);
    const liaison = (permission: string) => ["footage:request", "footage:download"].includes(permission);
    const one = (state: (typeof footage.STATES)[number]) => ({ state, kind: "police" as const, emergency: null, decided_by: null, owing: false, missing: [] });
    expect(footage.steps(one("ready"), liaison, false)).toEqual([]);
    expect(footage.barred(one("ready"), liaison, false)).toBe("footage.barred.theirs");
    expect(footage.waits(one("ready"), liaison, false)).toBe(false);
    expect(footage.nextOf(one("ready"), liaison, false)).toBe("footage.next.fetched");
    expect(footage.steps(one("submitted"), both, true)).toEqual(["cancel"]);
    expect(footage.steps(one("submitted"), both, false)).toEqual(["approve", "reject", "cancel"]);
    expect(footage.nextOf(one("submitted"), both, true)).toBe("footage.next.decision");
    expect(footage.barred(one("submitted"), (permission) => permission === "footage:approve", true)).toBe("footage.barred.own");
    expect(footage.barred(one("expired"), liaison, false)).toBeNull();
    expect(footage.barred(one("ready"), () => false, true)).toBeNull();
  });

  it("says why the gateway refused in the reader's language, by its code, and in the gateway's words where it knows none", async () => {
    const { language, refusal } = await import("./i18n");
    language.value = "zh";
    expect(refusal("not-yours", "Footage is in the hands of …")).toBe("仅登记该申请的人（处置也可由审批人）可以这样做。");
    expect(refusal("unknown-device", "none $&")).toBe("没有这个设备：none $&");
    const quiet = { zone: "滨河公园", because: "高考 $&", until: "2026-06-08 00:00" };
    expect(refusal("quiet-hours", "the zone Z-1 is quiet", "", quiet)).toBe("滨河公园正处安静时段（高考 $&），2026-06-08 00:00 前须填写理由方可播出。");
    expect(refusal("quiet-hours", "the city is quiet", "", { ...quiet, zone: "", because: "" })).toBe("正处安静时段，2026-06-08 00:00 前须填写理由方可播出。");
    expect(refusal("never-heard-of", "No.", "Ask again.")).toBe("No. Ask again.");
    expect(refusal("constructor", "No.")).toBe("No.");
    language.value = "en";
    expect(refusal("not-yours", "No.", "Ask again.")).toBe("No. Ask again.");
  });

  it("sends what is done once again when the connection broke, under the same key, and what was refused never", async () => {
    const { postOnce, Refused } = await import("./api");
    const keys: (string | null)[] = [];
    const answers = [() => Promise.reject(new TypeError("network")), () => Promise.resolve(new Response('{"id":"H-1"}')), () => Promise.resolve(new Response("{}", { status: 409 }))];
    vi.stubGlobal("fetch", (_path: string, init: RequestInit) => {
      keys.push(new Headers(init.headers).get("Idempotency-Key"));
      return answers[keys.length - 1]!();
    });
    expect(await postOnce("/v1/x", {})).toEqual({ id: "H-1" });
    await expect(postOnce("/v1/x", {})).rejects.toBeInstanceOf(Refused);
    vi.unstubAllGlobals();
    expect(keys.map((key) => key === keys[0])).toEqual([true, true, false]);
    expect(keys.every((key) => /^[0-9a-f]{24}$/.test(key ?? ""))).toBe(true);
  });

  it("asks for the figures of whole days, the last one included, and of all when none is named", async () => {
    const { query } = await import("./footage-figures");
    const now = new Date(2026, 10, 26, 12);
    expect([...query({ by: "unit", from: "", to: "" }, now)]).toEqual([["by", "unit"]]);
    const november = query({ by: "month", from: "2026-11-01", to: "2026-11-30" }, now);
    expect(november.get("since")).toBe(new Date(2026, 10, 1).toISOString());
    expect(november.get("until")).toBe(new Date(2026, 11, 1).toISOString());
    const open = query({ by: "month", from: "2026-12-24", to: "" }, now);
    expect(Date.parse(open.get("until")!) > Date.parse(open.get("since")!)).toBe(true);
  });

  it("finds places by all words, the exact one first, and counts each camera once", () => {
    const groups = [{ id: "g1", name: "站前广场", cell: "371502001", street: "古楼街道" }, { id: "g2", name: "站前广场北", cell: "371502002" }];
    const camera = (id: string, group: string, cell: string) => ({ id, kind: "camera", name: `${id} 枪机`, address: "127.0.0.1", group, cell, state: "up" });
    const city = new City(groups, [camera("CAM-1", "g1", "371502001"), camera("CAM-2", "g2", "371502002"), { ...camera("SPK-1", "g1", "371502001"), kind: "speaker" }]);
    expect(footage.hits(city, "")).toEqual([]);
    expect(footage.hits(city, "站前广场").map((place) => place.id)).toEqual(["g1", "g2"]);
    expect(footage.hits(city, "古楼 站前").map((place) => place.id)).toEqual(["g1"]);
    expect(footage.hits(city, "cam-2").map((place) => `${place.kind} ${place.id}`)).toEqual(["camera CAM-2"]);
    expect(footage.hits(city, "371502002").map((place) => place.kind)).toEqual(["cell"]);
    const places = [...footage.hits(city, "cam-1"), ...footage.hits(city, "古楼"), ...footage.hits(city, "371502001")];
    expect(footage.camerasIn(city, places).map((camera) => camera.id)).toEqual(["CAM-1"]);
  });

  it("draws a point where it lies, and finds it again", async () => {
    const { projection } = await import("./map");
    const at = (id: string, latitude: number, longitude: number) => ({ id, name: id, position: { latitude, longitude } });
    const groups = [...new City([at("a", 36.45, 115.97), at("b", 36.47, 115.99)], []).groups.values()];
    const drawn = projection(groups);
    const point = { latitude: 36.461, longitude: 115.982 };
    const back = drawn.point(drawn.place(point));
    expect([back.latitude, back.longitude].map((degrees) => degrees.toFixed(9))).toEqual(["36.461000000", "115.982000000"]);
    const [[, south], [, north]] = [drawn.place({ latitude: 36.46, longitude: 115.98 }), drawn.place({ latitude: 36.461, longitude: 115.98 })];
    expect((south - north) / drawn.metre).toBeCloseTo(111.195, 2);
  });

  it("asks for a circle and for a way once it has two corners", () => {
    const nowhere = { ...whole(), places: [] };
    const here = { latitude: 36.45, longitude: 115.98 };
    expect(footage.placeOf(nowhere)).toBeNull();
    expect(footage.placeOf({ ...nowhere, circle: { centre: here, radius_m: 300 } })).toMatchObject({ circle: { centre: here, radius_m: 300 }, cameras: [] });
    expect(footage.placeOf({ ...nowhere, route: [here] })).toBeNull();
    expect(footage.faultsOf({ ...nowhere, route: [here] }, NOW).get("places")).toBe("footage.fault.place");
    const way = footage.placeOf({ ...nowhere, route: [here, here], slowest: "4", fastest: "" });
    expect(way).toMatchObject({ route: { points: [here, here], direction: "either", slowest_kmh: 4, fastest_kmh: 30 } });
    expect(footage.fieldOf("/route/fastest_kmh")).toBe("places");
  });

  it("sends a brought file in pieces, from what is there already", async () => {
    const { pieces } = await import("./footage-brought");
    const piece = 4 << 20;
    expect(pieces(2 * piece + 1, 0)).toEqual([[0, piece], [piece, 2 * piece], [2 * piece, 2 * piece + 1]]);
    expect(pieces(2 * piece, piece + 7)).toEqual([[piece + 7, 2 * piece]]);
    expect(pieces(5, 5)).toEqual([]);
  });

  it("waits with a brought file while there is no room for it, and gives up what is refused", async () => {
    const { send } = await import("./footage-brought");
    const answers = ["overloaded", "", "wrong-state"];
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      const code = answers[asked.push(path) - 1]!;
      return new Response(JSON.stringify({ type: `urn:x:${code}` }), { status: code ? 503 : 200 });
    });
    vi.useFakeTimers();
    const sent: number[] = [];
    const done = send({ id: "B-1", received: 0 }, new Blob(["film"]), (received) => sent.push(received));
    await vi.runAllTimersAsync();
    await done;
    expect([asked, sent]).toEqual([Array(2).fill("/v1/brought-files/B-1/content"), [4]]);
    await expect(send({ id: "B-1", received: 0 }, new Blob(["film"]), () => undefined)).rejects.toBeInstanceOf(refused);
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("draws a period where it lies in the window, and tells how far the fetching is", () => {
    const window = { start: "2026-09-21T06:00:00Z", end: "2026-09-21T06:10:00Z" };
    const minutes = (from: number, to: number) => ({ start: new Date(Date.parse(window.start) + from * 60_000).toISOString(), end: new Date(Date.parse(window.start) + to * 60_000).toISOString() });
    expect(footage.barOf(window, minutes(-5, 5))).toEqual({ left: 0, width: 50 });
    expect(footage.barOf(window, minutes(9, 30))).toEqual({ left: 90, width: 10 });
    expect(footage.barOf(window, minutes(10, 30))).toBeNull();
    const camera = (name: string, state: string, recorded: unknown[]) => ({ camera: name, state, recorded }) as unknown as Dossier["coverage"][0];
    const file = (name: string, from: number, to: number) => ({ camera: name, ...minutes(from, to) }) as unknown as Dossier["files"][0];
    const dossier = { ...window, progress: [], coverage: [camera("a", "exporting", [minutes(0, 5)]), camera("b", "nothing", []), camera("c", "pending", [])], files: [file("a", 0, 2.5)] };
    expect(footage.progressOf(dossier)).toBeCloseTo(0.5);
    const running = { camera: "a", done_s: 30, whole_s: 40, size: 9, bytes_per_s: null, left_s: null };
    expect(footage.progressOf({ ...dossier, progress: [running] })).toBeCloseTo((0.75 + 1 + 0) / 3);
    expect(footage.progressOf({ ...window, progress: [], coverage: [], files: [] })).toBe(0);
    expect([footage.leftOf([running, { left_s: 12 }, { left_s: 9 }]), footage.leftOf([running]), footage.leftOf([])]).toEqual([12, null, null]);
    const along = { ...window, windows: [{ camera: "a", ...minutes(2, 4) }] };
    expect([footage.wantedOf(along, "a").start, footage.wantedOf(along, "b").start]).toEqual([minutes(2, 4).start, window.start]);
    expect([footage.sized(512), footage.sized(1536), footage.sized(3 * 1024 ** 3)]).toEqual(["512 B", "1.5 KiB", "3.0 GiB"]);
    expect([7.25, 360, 423, 700, 3600, 5000, 90_000].map(words.span)).toEqual(["7.3 s", "6 min", "7 min 3 s", "11 min", "1 h", "1 h 23 min", "1 d 1 h"]);
    const lost = (name: string, left_s: number | null) => ({ camera: name, overwrite: left_s === null ? null : { left_s } });
    expect(footage.soonest([lost("a", 90), lost("b", 30), lost("c", null)])).toEqual({ camera: "b", left_s: 30 });
    expect(footage.soonest([lost("c", null)])).toBeNull();
  });
});
