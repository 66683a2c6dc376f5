// The bar on top: how many devices of each kind are in which state, the search, the two views, language and theme.
import { useComputed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type City, KINDS } from "./city";
import { keepUp, waiting } from "./footage-shelf";
import { language, t } from "./i18n";
import type { Desk } from "./incidents";
import { Alarm, Mark } from "./marks";
import { chosen, connected, leave, may, only, opened, search, theme, view } from "./session";
import { StopAll } from "./shout";
import { STATES } from "./states";
import { found } from "./wall";

export function TopBar({ city, desk }: { city: City; desk: Desk }) {
  return (
    <header class="top">
      <div class="brand">
        <strong>{t("title")}</strong>
        <span>{t("subtitle")}</span>
      </div>
      <Counts city={city} />
      <Search city={city} />
      <nav>
        {(["wall", "map", "incidents", "maintenance", ...(may("broadcast:read") ? (["ledger"] as const) : []), ...(may("footage:read") ? (["footage"] as const) : [])] as const).map((name) => (
          <button key={name} aria-pressed={view.value === name} onClick={() => (view.value = name)}>
            {t(`view.${name}`)}
            {name === "incidents" && <Badge desk={desk} />}
            {name === "footage" && <Waiting />}
          </button>
        ))}
        <Reports />
        <button onClick={() => (language.value = language.value === "zh" ? "en" : "zh")}>{t("language")}</button>
        <button title={t("theme")} aria-label={t("theme")} onClick={() => (theme.value = theme.value === "dark" ? "light" : "dark")}>
          ◐
        </button>
        <button onClick={() => void leave()}>{t("logout")}</button>
      </nav>
      <StopAll city={city} />
      <span class={`link ${connected.value ? "on" : "off"}`} role="status">
        {t(connected.value ? "live" : "live.lost")}
      </span>
    </header>
  );
}

function Counts({ city }: { city: City }) {
  const counts = useComputed(() => city.counts());
  return (
    <dl class="counts">
      {KINDS.map((kind) => (
        <div key={kind}>
          <dt>{t(`kind.${kind}`)}</dt>
          <dd>
            {[...STATES].reverse().map((state) => {
              const count = counts.value[kind][state];
              return count > 0 || state === "up" ? (
                <button
                  key={state}
                  class={`count ${state}`}
                  title={t(`state.${state}`)}
                  aria-pressed={only.value === state}
                  onClick={() => (only.value = only.value === state ? null : state)}
                >
                  <Mark state={state} />
                  {count}
                </button>
              ) : null;
            })}
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** How many incidents nobody has acknowledged, and the worst of them. */
function Badge({ desk }: { desk: Desk }) {
  const open = useComputed(() => desk.live.value.filter((one) => one.state === "open"));
  const worst = open.value[0];
  const count = open.value.length;
  useEffect(() => {
    document.title = `${count > 0 ? `(${count}) ` : ""}${t("title")}`;
  }, [count, language.value]);
  return worst ? (
    <span class={`badge ${worst.severity}`}>
      <Alarm severity={worst.severity} />
      {open.value.length}
    </span>
  ) : null;
}

/** How many footage requests wait for the reader. */
function Waiting() {
  useEffect(keepUp, []);
  return waiting.value > 0 ? <span class="badge">{waiting.value}</span> : null;
}

/** The monthly reports, newest first. */
function Reports() {
  return (
    <select
      class="reports"
      aria-label={t("report")}
      value=""
      onChange={(event) => {
        const [month, form] = event.currentTarget.value.split(" ");
        event.currentTarget.value = "";
        if (month) window.open(reportOf(month, form!), "_blank", "noopener");
      }}
    >
      <option value="">{t("report")}</option>
      {months(6).map((month) => (
        <optgroup key={month} label={month}>
          <option value={`${month} html`}>{t("report.page", { month })}</option>
          <option value={`${month} xlsx`}>{t("report.xlsx", { month })}</option>
        </optgroup>
      ))}
    </select>
  );
}

function reportOf(month: string, form: string): string {
  return `/v1/health/reports/monthly/${month}.${form}?${new URLSearchParams({ lang: language.value })}`;
}

/** This month and those before it, as 2026-03. */
export function months(most: number, now = new Date()): string[] {
  return Array.from({ length: most }, (_, back) => {
    const month = new Date(now.getFullYear(), now.getMonth() - back, 1);
    return `${month.getFullYear()}-${String(month.getMonth() + 1).padStart(2, "0")}`;
  });
}

/** Filters what is shown; Enter goes to the one group or device that is found. */
function Search({ city }: { city: City }) {
  const go = () => {
    const hit = view.value === "wall" || view.value === "map" ? found(city.groups.values(), search.value) : null;
    if (hit === null) return;
    [chosen.value, opened.value] = [hit.group.id, hit.device?.id ?? null];
    document.querySelector<HTMLInputElement>(".top input[type=search]")?.blur(); // the next keys are for what was opened
  };
  return (
    <input
      type="search"
      placeholder={t("search")}
      aria-label={t("search")}
      value={search.value}
      onInput={(event) => (search.value = event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Enter" && !event.isComposing && go()}
    />
  );
}
