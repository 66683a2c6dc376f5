// The console's two languages: one flat catalogue each, chosen by the reader and remembered.
import { effect, signal } from "@preact/signals";
import en from "./locales/en.json";
import zh from "./locales/zh.json";

export type Key = keyof typeof en;
export const CATALOGUES = { zh, en } as const;
export type Language = keyof typeof CATALOGUES;

function initial(): Language {
  const kept = localStorage.getItem("language");
  if (kept === "zh" || kept === "en") return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

export const language = signal<Language>(initial());

effect(() => {
  localStorage.setItem("language", language.value);
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});

/** The text for `key` in the reader's language, its `{name}` places filled. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return CATALOGUES[language.value][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** A reason code in the reader's language; a code that this console does not know is shown as it is. */
export function reason(code: string): string {
  const key = `reason.${code}`;
  return key in CATALOGUES[language.value] ? t(key as Key) : code;
}

/** A time of day for today, a date and time otherwise, in the reader's own zone. */
export function when(iso: string | null): string {
  if (iso === null) return "";
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(language.value === "zh" ? "zh-CN" : "en-GB", today ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" });
}
