// What is recorded of the places and the time that are being typed, asked of recorders and cards at once: before anybody files anything.
import { computed, effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, post } from "./api";
import type { City } from "./city";
import { barOf, type Period, placeOf, soonest } from "./footage";
import { HoldNow } from "./footage-holds";
import { draft } from "./footage-shelf";
import { exact, type Fault, faulty, type Key, reason, span, t, when, worded } from "./i18n";

interface Overwrite {
  basis: "measured" | "retention" | "unknown";
  at: string | null;
  left_s: number | null;
  reason: string;
}

interface Holding {
  device: string;
  source: string;
  told: string;
  reason: string;
  clock_offset_s: number | null;
}

export interface CameraCoverage {
  camera: string;
  reason: string;
  recorded_s: number;
  gaps_s: number;
  unknown_s: number;
  recorded: Period[];
  gaps: (Period & { lack: string })[];
  unknown: Period[];
  overwrite: Overwrite | null;
  holdings: Holding[];
}

const MOST = 50; // cameras that the gateway asks for at once
const PAUSE_MS = 500; // so long nothing is typed before the recorders are asked
const SOON_S = 86_400;

/** A camera that the place means, and which stretch of it. */
interface Sought extends Period {
  camera: string;
  recorded: boolean;
  within_reach: boolean;
}

interface Found {
  window: Period;
  sought: Sought[];
  faults: string[];
  items: CameraCoverage[];
}

const asked = signal("");
const found = signal<Found | null>(null);
const busy = signal(false);
const trouble = signal("");

/** What is asked about the place and the time that are typed; "" while one is not yet named. */
function question(): string {
  const place = draft.value && placeOf(draft.value);
  return place === null ? "" : JSON.stringify(place);
}

/** Which cameras the place means, then what is recorded of them from the first of their stretches to the last. */
async function ask(words: string): Promise<void> {
  busy.value = true;
  trouble.value = "";
  try {
    const meant = await post<{ cameras: Sought[]; faults: Fault[] }>("/v1/footage-requests/preview", JSON.parse(words));
    const sought = meant.cameras;
    const window = { start: least(sought.map((one) => one.start)), end: most(sought.map((one) => one.end)) };
    const cameras = sought.filter((one) => one.within_reach).map((one) => one.camera);
    const asking = new URLSearchParams({ ...window });
    for (const camera of cameras.slice(0, MOST)) asking.append("camera", camera);
    const items = cameras.length > 0 ? (await get<{ items: CameraCoverage[] }>(`/v1/footage/coverage?${asking}`)).items : [];
    if (asked.value === words) found.value = { window, sought, faults: meant.faults.map(faulty), items };
  } catch (error) {
    if (asked.value !== words) return;
    found.value = null;
    trouble.value = String((error as Error).message);
  } finally {
    if (asked.value === words) busy.value = false;
  }
}

const least = (moments: string[]): string => moments.reduce((a, b) => (Date.parse(b) < Date.parse(a) ? b : a), moments[0] ?? "");
const most = (moments: string[]): string => moments.reduce((a, b) => (Date.parse(b) > Date.parse(a) ? b : a), moments[0] ?? "");

/** Ask anew whenever places or time are changed, a little after the last letter; ends with what it returns. */
function keepAsking(): () => void {
  const wanted = computed(question);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = effect(() => {
    const words = wanted.value;
    clearTimeout(timer);
    if (words === asked.peek()) return;
    timer = setTimeout(() => {
      asked.value = words;
      found.value = null;
      if (words !== "") void ask(words);
    }, PAUSE_MS);
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}

export function Recorded({ city }: { city: City }) {
  useEffect(keepAsking, []);
  if (asked.value === "") return null;
  return (
    <section class="recorded-now" aria-live="polite">
      {busy.value && <p class="hint">{t("footage.asking")}</p>}
      {trouble.value !== "" && <p class="wrong">{trouble.value}</p>}
      {found.value && <Answer city={city} found={found.value} />}
    </section>
  );
}

function Answer({ city, found: { window, sought, faults, items } }: { city: City; found: Found }) {
  const first = soonest(items);
  const moved = sought.some((one) => one.start !== window.start || one.end !== window.end);
  const stretch = (camera: string) => (moved ? sought.find((one) => one.camera === camera) : undefined);
  return (
    <>
      {(sought.length > 0 || faults.length === 0) && <p class="dim">{t("footage.cameras", { n: sought.length })}</p>}
      {faults.map((fault) => (
        <p key={fault} class="wrong">
          {fault}
        </p>
      ))}
      {first && (
        <p class={first.left_s < SOON_S ? "wrong" : "hint"}>{t("footage.overwrite.first", { left: span(first.left_s), camera: city.devices.get(first.camera)?.name ?? first.camera })}</p>
      )}
      <HoldNow cameras={items.filter((one) => one.recorded_s > 0).map((one) => one.camera)} window={window} why={draft.value?.case_number ?? ""} />
      {items.map((one) => (
        <One key={one.camera} city={city} window={window} one={one} stretch={stretch(one.camera)} />
      ))}
    </>
  );
}

function One({ city, window, one, stretch }: { city: City; window: Period; one: CameraCoverage; stretch: Period | undefined }) {
  const parts = (["recorded", "gaps", "unknown"] as const).filter((name) => one[`${name}_s`] > 0);
  const why = [...new Set([one.reason, ...one.holdings.map((holding) => holding.reason)].filter(Boolean))];
  return (
    <div class="track" data-recorded={one.camera}>
      <p>
        <b>{city.devices.get(one.camera)?.name ?? one.camera}</b> {stretch && <span class="chip">{`${when(stretch.start)} → ${when(stretch.end)}`}</span>}{" "}
        {parts.map((name) => (
          <span key={name} class={name === "gaps" ? "late" : "dim"}>
            {t(`footage.of.${name}` as Key, { length: span(one[`${name}_s`]) })}{" "}
          </span>
        ))}
        <Countdown of={one.overwrite} /> {why.length > 0 && <em>{why.map(reason).join("; ")}</em>}
      </p>
      <div class="bar">
        {(["recorded", "unknown", "gaps"] as const).map((kind) =>
          one[kind].map((period) => {
            const bar = barOf(window, period);
            const lack = "lack" in period ? worded("footage.lack", String(period.lack)) : t(`footage.${kind === "gaps" ? "gap" : kind}` as Key);
            return bar && <i key={`${kind} ${period.start}`} class={kind === "gaps" ? "gap" : kind} style={{ left: `${bar.left}%`, width: `${bar.width}%` }} title={`${lack} ${exact(period.start)} → ${exact(period.end)}`} />;
          }),
        )}
      </div>
      {one.gaps.length > 0 && (
        <ul class="gaps">
          {one.gaps.slice(0, 5).map((gap) => (
            <li key={gap.start}>
              {worded("footage.lack", gap.lack)} {exact(gap.start)} → {exact(gap.end)}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Countdown({ of }: { of: Overwrite | null }) {
  if (of === null) return null;
  if (of.left_s === null) return <span class="dim">{t("footage.overwrite.unknown")}</span>;
  return (
    <span class={`chip ${of.left_s < SOON_S ? "hot" : ""}`} title={`${when(of.at)} · ${t(`footage.basis.${of.basis}`)}`}>
      {t("footage.overwrite", { left: span(of.left_s) })}
    </span>
  );
}

