import { beforeEach, expect, it, vi } from "vitest";

const stored: Record<string, string> = {};
beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal("localStorage", { getItem: (name: string) => stored[name] ?? null, setItem: (name: string, text: string) => (stored[name] = text) });
});

it("suggests the last eight reasons, each once, the latest first", async () => {
  const { reasons, remember } = await import("./why");
  for (const one of [..."123456789", "5", undefined]) remember(one);
  expect(reasons.value.join("")).toBe("59876432");
  vi.resetModules();
  expect((await import("./why")).reasons.value).toEqual(reasons.value);
});

it("suggests nothing where something else is kept", async () => {
  stored["reasons"] = "{";
  expect((await import("./why")).reasons.value).toEqual([]);
});
