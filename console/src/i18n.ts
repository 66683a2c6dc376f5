// The console's two languages: one flat catalogue each, chosen by the reader and remembered.
import { effect, signal } from "@preact/signals";
import faults from "./locales/faults.zh.json";
import en from "./locales/en.json";
import problems from "./locales/problems.zh.json";
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

/** The text for `key` in the reader's language, its `{name}` places filled; of one thing its `.one`, where there is such a text. */
export function t(key: Key, values: Values = {}): string {
  const one = `${key}.one` as Key;
  return filled(CATALOGUES[language.value][values["n"] === 1 && one in CATALOGUES[language.value] ? one : key], values);
}

export type Values = Readonly<Record<string, string | number>>;

const filled = (text: string, values: Values) => text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));

/** What the gateway's reason codes say, by code. */
export const phrases = signal<Record<string, { zh: string; en: string }>>({});

/** A reason code in the reader's language, one of a status (`sip-404`) by the words for all of them; without words it is shown as it is. */
export function reason(code: string): string {
  const [, protocol, status] = /^(sip|rtsp)-(\d{3})$/.exec(code) ?? [];
  const of = protocol === undefined ? code : `${protocol}-NNN`;
  return phrases.value[of]?.[language.value].replace("NNN", status ?? "NNN") ?? code;
}

/** Why the gateway said no, in the reader's language: by its code and `values` where this console knows it, else in the gateway's own English. */
export function refusal(code: string, detail: string, hint = "", values: Values = {}): string {
  const known = language.value === "zh" && Object.hasOwn(problems, code) ? problems[code as keyof typeof problems] : undefined;
  return known === undefined ? `${detail} ${hint}`.trim() : filled(known, { ...values, detail }).replace("（）", "");
}

/** One thing wrong with what was sent, as the gateway tells it: where, why in English, and why by a code with its figures. */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
  readonly code?: string;
  readonly values?: Values;
}

/** Why a field was refused, in the reader's language: by its code where this console knows it, else in the gateway's own English. */
export function faulty({ code = "", detail, values = {} }: Fault): string {
  const known = language.value === "zh" && Object.hasOwn(faults, code) ? faults[code as keyof typeof faults] : undefined;
  return known === undefined ? detail : filled(known, values);
}

/** A word of the gateway's in the reader's language; one that this console does not know is shown as it is. */
export function worded(kind: string, word: string): string {
  const key = `${kind}.${word}`;
  return key in CATALOGUES[language.value] ? t(key as Key) : word;
}

export const did = (what: string): string => worded("did", what);

/** An incident's title in the reader's language. */
export function headline(incident: { title: { zh: string; en: string } }): string {
  return incident.title[language.value];
}

/** Who it was, by the name where there is one, else without the kind of key it came with; the gateway itself where nobody is named. */
export function who(actor: string, name = ""): string {
  if (actor === self.value.actor) return self.value.name;
  if (name !== "") return name;
  return actor === "" ? t("gateway") : actor.replace(/^(user|api-key|rule|system):/, "");
}

/** The reader, as the gateway knows them. */
export const self = signal({ actor: "", name: "" });

const minute = signal(Date.now());
setInterval(() => (minute.value = Date.now()), 20_000);

/** How long something has lasted, in its two largest units; it goes on by itself. */
export function lasted(from: string, to: string | null = null): string {
  const minutes = Math.max(0, Math.floor(((to === null ? Math.max(minute.value, Date.now()) : Date.parse(to)) - Date.parse(from)) / 60_000));
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (days > 0) return t("lasted.days", { days, hours });
  if (hours === 0 && rest === 0) return t("lasted.now");
  return hours > 0 ? t("lasted.hours", { hours, minutes: rest }) : t("lasted.minutes", { minutes: rest });
}

/** How long, in its two largest units; of less than a minute the seconds. */
export function span(ofSeconds: number): string {
  const minutes = Math.floor(ofSeconds / 60);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (days > 0) return t("lasted.days", { days, hours });
  if (hours > 0) return rest === 0 ? t("span.hours", { n: hours }) : t("lasted.hours", { hours, minutes: rest });
  if (minutes >= 10 || (minutes > 0 && Math.round(ofSeconds % 60) === 0)) return t("lasted.minutes", { minutes });
  return minutes > 0 ? t("span.minutes", { minutes, seconds: Math.round(ofSeconds % 60) }) : t("span.seconds", { seconds: Math.round(ofSeconds * 10) / 10 });
}

/** The day of a moment in a time zone. */
export function day(iso: string, timeZone: string): string {
  return new Date(iso).toLocaleDateString(language.value === "zh" ? "zh-CN" : "en-GB", { dateStyle: "medium", timeZone });
}

/** To the second, with the day: evidence is not told by halves. */
export function exact(iso: string): string {
  return new Date(iso).toLocaleString(language.value === "zh" ? "zh-CN" : "en-GB", { dateStyle: "short", timeStyle: "medium" });
}

/** The reader's zone at that time, as UTC+08:00. */
export function zone(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  const two = (number: number) => String(number).padStart(2, "0");
  return `UTC${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

/** A time of day for today, a date and time otherwise, in the reader's own zone. */
export function when(iso: string | null): string {
  if (iso === null) return "";
  const at = new Date(iso);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(language.value === "zh" ? "zh-CN" : "en-GB", today ? { timeStyle: "medium" } : { dateStyle: "short", timeStyle: "short" });
}
