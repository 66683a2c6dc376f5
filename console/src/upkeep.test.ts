import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { City } from "./city";

const NOTHING = { everything: false, districts: [], groups: [], cells: [], vendors: [], devices: [] };

describe("what a maintenance window is about", () => {
  let covered: typeof import("./upkeep").covered;
  beforeAll(async () => {
    vi.stubGlobal("localStorage", { getItem: () => "en", setItem: () => undefined });
    vi.stubGlobal("document", { documentElement: { dataset: {} } });
    vi.stubGlobal("setInterval", () => 0);
    ({ covered } = await import("./upkeep"));
  });
  afterEach(() => vi.unstubAllGlobals());

  const device = { id: "CAM-1", name: "北门枪机", kind: "camera", address: "192.0.2.1", state: "up" };
  const city = new City([{ id: "G-1", name: "东昌路" }], [device]);

  it("is said by names, and by codes where nobody has named it", async () => {
    vi.stubGlobal("fetch", async () => new Response(JSON.stringify({ name: "古楼街道三" })));
    const one = { ...NOTHING, groups: ["G-1", "G-2"], cells: ["C-9"], devices: ["CAM-1", "CAM-2"] };
    await vi.waitFor(() => expect(covered(city, one)).toBe("东昌路, G-2, 古楼街道三, 北门枪机, CAM-2"));
  });

  it("is said in part where it is much, and says so", () => {
    const devices = Array.from({ length: 7 }, (_, number) => `D-${number}`);
    expect(covered(city, { ...NOTHING, devices })).toBe("D-0, D-1, D-2, D-3, D-4, D-5 …");
    expect(covered(city, { ...NOTHING, devices: devices.slice(1) })).toBe("D-1, D-2, D-3, D-4, D-5, D-6");
  });
});
