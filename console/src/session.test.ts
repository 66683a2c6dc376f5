import { beforeAll, expect, test, vi } from "vitest";
import { City } from "./city";

let session: typeof import("./session");
let shelf: typeof import("./footage-shelf");
let wall: typeof import("./wall");
beforeAll(async () => {
  vi.stubGlobal("localStorage", { getItem: (name: string) => (name === "language" ? "en" : null), setItem: () => undefined });
  vi.stubGlobal("document", { documentElement: { dataset: {} } });
  vi.stubGlobal("setInterval", () => 0);
  session = await import("./session");
  shelf = await import("./footage-shelf");
  wall = await import("./wall");
});

test("whoever signs in next begins anew, and sees nothing of what was looked at or searched for", () => {
  session.phase.value = { at: "loading" };
  [session.chosen.value, session.opened.value, session.looked.value, session.only.value] = ["g1", "c1", "I-1", "down"];
  [session.search.value, session.view.value, session.shelf.value, session.ticked.value] = ["0417", "ledger", "resolved", new Set(["I-1"])];
  [shelf.wanted.value, shelf.counting.value] = [{ state: "", q: "王建国", owing: "" }, true];
  session.phase.value = { at: "signed-out", failed: false };
  expect([session.chosen.value, session.opened.value, session.looked.value, session.only.value]).toEqual([null, null, null, null]);
  expect([session.search.value, session.view.value, session.shelf.value, session.ticked.value.size]).toEqual(["", "wall", "live", 0]);
  expect([shelf.wanted.value.q, shelf.counting.value]).toEqual(["", false]);
});

test("events of a broadcast are followed, and tell which one it is", async () => {
  const listeners = new Map<string, (message: { data: string }) => void>();
  class Source {
    constructor(readonly url: string) {
      expect(new URL(url, "http://127.0.0.1").searchParams.get("types")!.length).toBeLessThanOrEqual(1000); // what the gateway takes
    }
    addEventListener(type: string, heard: (message: { data: string }) => void) {
      listeners.set(type, heard);
    }
    close() {}
  }
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify({ items: [], permissions: [], devices: [], groups: [], next: null, reasons: {} }), { headers: { "Content-Type": "application/json" } }));
  await session.open();
  expect(session.phase.value.at).toBe("live");
  listeners.get("broadcast.ended")!({ data: JSON.stringify({ cursor: 7, type: "broadcast.ended", subject: "B-1", at: "", data: {} }) });
  expect(session.sounded.value).toEqual({ id: "B-1", cursor: 7 });
});

test("Enter in the search goes to the one group or device that is found", () => {
  const groups = ["g1", "g2"].map((id) => ({ id, name: `Square ${id}`, cell: null, district: "东昌府区", street: "古楼街道" }));
  const devices = ["c1", "c2"].map((id) => ({ id, kind: "camera", name: `cam ${id}`, address: `127.16.0.${id[1]}`, group: "g1", state: "up" }));
  const { groups: known } = new City(groups, devices);
  const go = (words: string) => {
    const hit = wall.found(known.values(), words);
    return hit && [hit.group.id, hit.device?.id ?? null];
  };
  expect(go(" CAM C2 ")).toEqual(["g1", "c2"]);
  expect(go("127.16.0.")).toEqual(["g1", null]);
  expect(go("square g2")).toEqual(["g2", null]);
  expect([go("square"), go("nowhere"), go(" ")]).toEqual([null, null, null]);
});
