// When a schedule speaks, in words: the rules that people write, each in both languages; any other is shown as it stands (RFC 5545).
import { day, language, t } from "./i18n";

const WEEKDAYS = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
const SUNDAY = Date.UTC(2026, 0, 4);

/** A weekday in the reader's language, as people shorten it. */
const weekday = (code: string) => new Date(SUNDAY + WEEKDAYS.indexOf(code) * 86_400_000).toLocaleDateString(language.value, { weekday: "short", timeZone: "UTC" });

/** On which days `rrule` has something said that begins at `start` in `timezone`; "" for once. */
function days(rrule: string, start: Date, timezone: string): string {
  const { FREQ = "", INTERVAL = "1", BYDAY = "", BYMONTHDAY = "", UNTIL, COUNT, WKST, ...others } = Object.fromEntries(
    rrule.replace(/^RRULE:/, "").split(";").map((part) => part.toUpperCase().split("=")),
  ) as Record<string, string | undefined>;
  const n = Number(INTERVAL);
  const named = BYDAY.split(",").filter((code) => WEEKDAYS.includes(code));
  const ordinary = Object.keys(others).length === 0 && named.join() === BYDAY && (WKST === undefined || n === 1);
  const own = new Date(start.toLocaleString("en-US", { timeZone: timezone }));
  const weekdays = named.length > 0 ? named : [WEEKDAYS[own.getDay()]!];
  if (ordinary && FREQ === "DAILY" && !BYDAY && !BYMONTHDAY) return t("rule.daily", { n });
  if (ordinary && FREQ === "WEEKLY" && !BYMONTHDAY) return t("rule.weekly", { n, days: weekdays.map(weekday).join(t("list.comma")) });
  if (ordinary && FREQ === "MONTHLY" && !BYDAY && /^\d*$/.test(BYMONTHDAY)) return t("rule.monthly", { n, day: BYMONTHDAY || own.getDate() });
  return rrule;
}

/** How long it goes on, where its rule says so. */
function end(rrule: string): string {
  const [, count] = /COUNT=(\d+)/i.exec(rrule) ?? [];
  const [, year, month, date] = /UNTIL=(\d{4})(\d\d)(\d\d)/i.exec(rrule) ?? [];
  if (count) return t("rule.count", { n: Number(count) });
  return year ? t("rule.until", { day: day(`${year}-${month}-${date}T12:00:00Z`, "UTC") }) : "";
}

/** When it speaks: on which days, at which time of day, from and until which day; the time zone where it is not the reader's. */
export function ruled({ rrule, start, timezone }: { rrule: string; start: string; timezone: string }): string {
  const first = new Date(start);
  const time = first.toLocaleTimeString(language.value, { timeZone: timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const foreign = timezone === Intl.DateTimeFormat().resolvedOptions().timeZone ? "" : `(${timezone})`;
  const when = [rrule === "" ? t("rule.once") : days(rrule, first, timezone), time, foreign].filter(Boolean).join(" ");
  return [when, t(rrule === "" ? "rule.on" : "rule.from", { day: day(start, timezone) }), end(rrule)].filter(Boolean).join(" · ");
}
