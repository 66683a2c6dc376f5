// Holds: footage that must not be lost, placed in one click before or after a request is filed; how far each is secured, and its end.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, postOnce } from "./api";
import type { City } from "./city";
import type { Check, Dossier, Period } from "./footage";
import { CheckedFiles } from "./footage-checked";
import { exact, reason, span, t, worded } from "./i18n";
import { may, tell, touched } from "./session";

interface Keep {
  camera: string;
  device: string;
  state: "waiting" | "safe" | "secured" | "partial" | "nothing" | "lost";
  reason: string;
  overwrite_at: string | null;
  reserved_bytes: number;
  stored_bytes: number;
  locked: boolean;
}

interface Hold extends Period {
  id: string;
  state: "active" | "released" | "expired";
  owner: { name: string };
  reason: string;
  cameras: string[];
  expires_at: string;
  note: string;
  keeps?: Keep[];
  checks?: Check[];
}

const DAYS = [7, 30, 90];
const DAY_MS = 86_400_000;
const later = (days: number, from = Date.now()): string => new Date(from + days * DAY_MS).toISOString();

async function said(deed: () => Promise<unknown>): Promise<boolean> {
  try {
    await deed();
    return true;
  } catch (error) {
    tell(String((error as Error).message), true);
    return false;
  }
}

/** Hold the footage of these cameras from this window, for so many days; `placed` is told when it is. */
export function HoldNow({ cameras, window, why, request, placed }: { cameras: readonly string[]; window: Period; why: string; request?: string; placed?: () => void }) {
  if (!may("footage:hold") || cameras.length === 0) return null;
  const place = (days: number) => {
    const because = why.trim() || prompt(t("footage.hold.why"))?.trim();
    if (!because) return;
    const order = { cameras, start: window.start, end: window.end, reason: because, expires_at: later(days), ...(request && { request }) };
    void said(() => postOnce<Hold>("/v1/footage/holds", order)).then((done) => {
      if (!done) return;
      tell(t("footage.hold.placed", { days }));
      placed?.();
    });
  };
  return (
    <p class="repair hold-now">
      <span class="dim">{t("footage.hold.now")}</span>
      {DAYS.map((days) => (
        <button key={days} type="button" onClick={() => place(days)}>
          {t("footage.hold.days", { n: days })}
        </button>
      ))}
    </p>
  );
}

/** The holds of a request. */
export function Holds({ city, one }: { city: City; one: Dossier }) {
  const holds = useSignal<readonly Hold[]>([]);
  const read = async () => {
    const found = await get<{ items: Hold[] }>(`/v1/footage/holds?${new URLSearchParams({ request: one.id })}`);
    holds.value = await Promise.all(found.items.map((hold) => get<Hold>(`/v1/footage/holds/${encodeURIComponent(hold.id)}`)));
  };
  useEffect(() => {
    if (may("footage:hold")) void said(read);
  }, [one.id, one.custody.length, one.state, touched.value?.cursor]);
  if (!may("footage:hold")) return null;
  const act = (hold: Hold, what: string, body: unknown) => void said(() => postOnce(`/v1/footage/holds/${encodeURIComponent(hold.id)}/${what}`, body).then(read));
  const release = (hold: Hold) => {
    const note = prompt(t("footage.hold.release.why"))?.trim();
    if (note) act(hold, "release", { note });
  };
  return (
    <section class="card holds">
      <h2>{t("footage.holds")}</h2>
      {holds.value.map((hold) => (
        <div key={hold.id} data-hold={hold.id} class={hold.state === "active" ? "" : "is-over"}>
          <p>
            <code>{hold.id}</code> <span class={`chip ${hold.state === "active" ? "resolved" : ""}`}>{worded("footage.hold.state", hold.state)}</span> {hold.reason}{" "}
            <span class="dim">
              {hold.owner.name} · {t("footage.links.until", { at: exact(hold.expires_at) })} {hold.note}
            </span>{" "}
            {hold.state === "active" && (
              <>
                <button onClick={() => act(hold, "extend", { expires_at: later(7, Date.parse(hold.expires_at)) })}>{t("footage.hold.extend")}</button>{" "}
                <button onClick={() => release(hold)}>{t("footage.hold.release")}</button>
              </>
            )}
          </p>
          <ul>
            {(hold.keeps ?? []).map((keep) => (
              <li key={`${keep.camera} ${keep.device}`}>
                {city.devices.get(keep.camera)?.name ?? keep.camera} <code>{keep.device}</code> <span class={["lost", "partial"].includes(keep.state) ? "late" : "dim"}>{worded("footage.keep", keep.state)}</span>{" "}
                {keep.locked && <span class="chip">{t("footage.keep.locked")}</span>} {keep.reason !== "" && <em>{reason(keep.reason)}</em>} <Left at={keep.overwrite_at} />
              </li>
            ))}
          </ul>
          <CheckedFiles checks={hold.checks ?? []} />
        </div>
      ))}
      <HoldNow cameras={one.cameras} window={one} why={`${one.case_number} ${one.purpose}`} request={one.id} placed={() => void said(read)} />
    </section>
  );
}

function Left({ at }: { at: string | null }) {
  const left = at === null ? NaN : (Date.parse(at) - Date.now()) / 1000;
  return left > 0 ? <span class="chip">{t("footage.overwrite", { left: span(left) })}</span> : null;
}
