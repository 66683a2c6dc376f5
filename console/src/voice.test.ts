import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { City } from "./city";
import { language } from "./i18n";
import { byName, say, silence, silenced, stopAll, unsilenced } from "./voice";

vi.hoisted(() =>
  Object.assign(globalThis, { localStorage: { getItem: () => "en", setItem: () => undefined }, document: { documentElement: {} } }),
);

interface Asked {
  path: string;
  init: RequestInit;
}

describe("what the console has heard", () => {
  let asked: Asked[];
  let gateway: number;

  beforeEach(() => {
    asked = [];
    gateway = Date.now();
    const bytes = crypto.getRandomValues.bind(crypto);
    vi.stubGlobal("crypto", { getRandomValues: bytes }); // as on a page without TLS: no randomUUID
    vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
      asked.push({ path, init });
      return new Response(JSON.stringify({ id: "b1", open: true, deliveries: [] }), { headers: { Date: new Date(gateway).toUTCString() } });
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  it("names the loudspeakers that it could not silence, in the reader's language", () => {
    const city = new City([], [{ id: "SPK-1", name: "北门音柱", kind: "speaker", address: "192.0.2.1", state: "up" }]);
    expect(unsilenced(city, ["SPK-1", "SPK-2"])).toMatch(/^2 loudspeakers .*: 北门音柱, SPK-2$/);
    expect(unsilenced(city, ["SPK-1"])).toMatch(/^1 loudspeaker plays by itself .*: 北门音柱$/);
    expect([silenced(1, 1), silenced(2, 40)]).toEqual(["Silenced: 1 broadcast at 1 loudspeaker", "Silenced: 2 broadcasts at 40 loudspeakers"]);
    language.value = "zh";
    expect(silenced(1, 3)).toBe("已静音：1 条广播，3 个音柱");
    expect(unsilenced(city, ["SPK-1", "SPK-2"])).toMatch(/^2 个音柱.*：北门音柱、SPK-2$/);
    language.value = "en";
  });

  const sent = () => JSON.parse(asked.at(-1)!.init.body as string) as { id: string; not_after: string };

  it("has a name of its own where the page is not served over TLS", async () => {
    await say({ targets: { speakers: ["s1"] } }, { text: "please leave" });
    const first = sent().id;
    await say({ targets: { speakers: ["s1"] } }, { text: "please leave" });
    expect(first).toMatch(/^console-[0-9a-f]{24}$/);
    expect(sent().id).not.toBe(first);
  });

  it.each([-3_600_000, 0, 3_600_000])("has its deadline by the gateway's clock, %d ms ahead of the desk's", async (ahead) => {
    gateway = Date.now() + ahead;
    await stopAll(); // any answer tells the gateway's time
    await say({ targets: { speakers: ["s1"] } }, { text: "please leave" });
    expect(Math.abs(Date.parse(sent().not_after) - gateway - 20_000)).toBeLessThan(2_000);
  });

  it("is enforcement, and an emergency where somebody says so", async () => {
    const priority = () => (JSON.parse(asked.at(-1)!.init.body as string) as { priority: string }).priority;
    await say({ targets: { speakers: ["s1"] } }, { text: "please leave" });
    expect(priority()).toBe("enforcement");
    await say({ targets: { speakers: ["s1"] }, priority: "emergency" }, { text: "gas leak" });
    expect(priority()).toBe("emergency");
  });

  it("is said once more where somebody asks for that", async () => {
    await say({ targets: { speakers: ["s1"] }, again: true }, { text: "please leave" });
    expect(JSON.parse(asked.at(-1)!.init.body as string)).toMatchObject({ text: "please leave", again: true });
  });

  it("is chosen from clips in the order of their names, whatever their ids", () => {
    const clip = (id: string, name: string, day: number) => ({ id, name, duration_ms: 2000, created_at: `2026-06-0${day}T08:00:00Z` });
    const found = byName([clip("0a", "占道提醒", 1), clip("1b", "防汛", 2), clip("2c", "A区", 3), clip("3d", "防汛", 1)]);
    expect(found.map((one) => one.id)).toEqual(["3d", "1b", "0a", "2c"]);
  });

  it("is silenced alone", async () => {
    await silence("b 1");
    expect(asked.at(-1)).toMatchObject({ path: "/v1/broadcasts/b%201/cancel", init: { method: "POST" } });
  });
});
