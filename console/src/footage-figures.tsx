// The footage desk by the number: requests by unit, requester, kind of case, month or what came of them, and the same as a spreadsheet.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get } from "./api";
import { listed, readRegister } from "./footage-shelf";
import { span, t, worded } from "./i18n";
import { tell } from "./session";

export const BY = ["unit", "kind", "case-kind", "month", "state"] as const;
export type By = (typeof BY)[number];

interface Row {
  key: string;
  requests: number;
  emergencies: number;
  owing: number;
  cameras: number;
  hours: number;
  ready_minutes_median: number | null;
  outcomes: Record<string, number>;
}

const rows = signal<readonly Row[] | null>(null);
/** Into which rows, and the days of filing, both included; "" is without a bound. */
const wanted = signal<{ by: By; from: string; to: string }>({ by: "unit", from: "", to: "" });

/** The query of `wanted`: days begin at the reader's midnight, and the gateway wants both bounds or none. */
export function query(of: { by: By; from: string; to: string }, now: Date): URLSearchParams {
  if (of.from === "" && of.to === "") return new URLSearchParams({ by: of.by });
  const since = new Date(`${of.from || "2000-01-01"}T00:00:00`);
  const until = of.to === "" ? new Date(Math.max(now.getTime(), since.getTime()) + 60_000) : new Date(`${of.to}T00:00:00`);
  if (of.to !== "") until.setDate(until.getDate() + 1);
  return new URLSearchParams({ by: of.by, since: since.toISOString(), until: until.toISOString() });
}

async function read(): Promise<void> {
  const asked = wanted.value;
  try {
    const found = await get<{ items: Row[] }>(`/v1/footage-statistics?${query(asked, new Date())}`);
    if (asked === wanted.value) rows.value = found.items;
  } catch (error) {
    tell(String((error as Error).message), true);
  }
}

export function Figures() {
  useEffect(() => {
    void readRegister();
    void read();
  }, [wanted.value]);
  const shown = rows.value ?? [];
  const totals = (["requests", "emergencies", "owing"] as const).map((name) => shown.reduce((sum, row) => sum + row[name], 0));
  return (
    <section class="card figures">
      <h2>{t("footage.figures")}</h2>
      <Choice />
      {rows.value?.length === 0 && <p class="hint">{t("footage.figures.none")}</p>}
      {shown.length > 0 && (
        <div class="wide-table">
          <table class="windows">
            <thead>
              <tr>
                <th>{t(`footage.figures.by.${wanted.value.by}`)}</th>
                {(["requests", "emergencies", "owing", "cameras", "hours", "ready", "outcomes"] as const).map((name) => (
                  <th key={name}>{t(`footage.figures.${name}`)}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map((row) => (
                <Line key={row.key} row={row} />
              ))}
            </tbody>
            <tfoot>
              <tr>
                <th>{t("footage.figures.all")}</th>
                {totals.map((total, number) => (
                  <td key={number}>{total}</td>
                ))}
                <td colSpan={4} />
              </tr>
            </tfoot>
          </table>
        </div>
      )}
    </section>
  );
}

function Choice() {
  const set = (change: Partial<typeof wanted.value>) => (wanted.value = { ...wanted.value, ...change });
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <select aria-label={t("footage.figures.by")} name="by" value={wanted.value.by} onChange={(event) => set({ by: event.currentTarget.value as By })}>
        {BY.map((by) => (
          <option key={by} value={by}>
            {t(`footage.figures.by.${by}`)}
          </option>
        ))}
      </select>
      <input type="date" aria-label={t("footage.figures.from")} title={t("footage.figures.from")} value={wanted.value.from} onChange={(event) => set({ from: event.currentTarget.value })} />
      <input type="date" aria-label={t("footage.figures.to")} title={t("footage.figures.to")} value={wanted.value.to} onChange={(event) => set({ to: event.currentTarget.value })} />
      <a class="button" href={`/v1/footage-statistics/export?${query(wanted.value, new Date())}`} download>
        {t("ledger.export")}
      </a>
    </form>
  );
}

function Line({ row }: { row: Row }) {
  return (
    <tr data-row={row.key}>
      <td>{named(row.key)}</td>
      <td>{row.requests}</td>
      <td>{row.emergencies}</td>
      <td class={row.owing > 0 ? "late" : ""}>{row.owing}</td>
      <td>{row.cameras}</td>
      <td>{row.hours}</td>
      <td>{row.ready_minutes_median === null ? "—" : span(row.ready_minutes_median * 60)}</td>
      <td>
        <span class="chips">
          {Object.entries(row.outcomes).map(([state, count]) => (
            <span key={state} class="chip">
              {worded("footage.state", state)} {count}
            </span>
          ))}
        </span>
      </td>
    </tr>
  );
}

function named(key: string): string {
  if (wanted.value.by === "kind") return worded("footage.kind", key);
  if (wanted.value.by === "state") return worded("footage.state", key);
  if (wanted.value.by === "case-kind") return listed("case_kinds", key) || "—";
  return key || "—";
}
