import { beforeEach, expect, it, vi } from "vitest";

beforeEach(() => {
  vi.stubGlobal("localStorage", { getItem: () => "en", setItem: () => undefined });
  vi.stubGlobal("document", { documentElement: { lang: "" } });
});

it("names a person by their name, and a key without one by its id", async () => {
  const { self, who } = await import("./i18n");
  self.value = { actor: "api-key:1", name: "Li" };
  expect(who("api-key:2", "Wang")).toBe("Wang");
  expect(who("api-key:2", "")).toBe("2");
  expect(who("api-key:1")).toBe("Li");
  expect(who("")).toBe("gateway");
});
