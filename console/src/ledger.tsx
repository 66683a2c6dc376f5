// The ledger of broadcasts: what was said where, who heard it, and, by one key, what came of it in the street.
import { Fragment } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { gatewayNow } from "./api";
import { cellNamed } from "./cells";
import type { City } from "./city";
import { exact, type Key, language, reason, span, t, when, who } from "./i18n";
import { at, deed, draft, type Entry, entries, keepUp, library, meant, note, OUTCOMES, type Picture, query, read, readClips, type Recording, wanted, write } from "./ledger-shelf";
import { may } from "./session";
import { type Delivery, remarked } from "./voice";

export function Ledger({ city }: { city: City }) {
  useEffect(() => void read(), [wanted.value]);
  useEffect(() => void readClips(), []);
  useEffect(keepUp, []);
  return (
    <section class="desk">
      <h2>{t("view.ledger")}</h2>
      <p class="hint">{t("ledger.how")}</p>
      <Filters />
      {entries.value?.length === 0 && <p class="notice small">{t("ledger.none")}</p>}
      <div class="scrolled">
        <table class="windows ledger">
          <thead>
            <tr>
              {(["when", "what", "where", "heard", "came", "by"] as const).map((name) => (
                <th key={name}>{t(`ledger.${name}`)}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(entries.value ?? []).map((one) => (
              <Fragment key={one.id}>
                <Line city={city} one={one} />
                {at.value === one.id && <Opened city={city} one={one} />}
              </Fragment>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Filters() {
  const set = (name: "outcome" | "from" | "case") => (event: { currentTarget: { value: string } }) => {
    wanted.value = { ...wanted.value, [name]: event.currentTarget.value };
  };
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      <select aria-label={t("ledger.came")} value={wanted.value.outcome} onChange={set("outcome")}>
        <option value="">{t("ledger.any")}</option>
        <option value="none">{t("ledger.unsaid")}</option>
        {OUTCOMES.map((outcome) => (
          <option key={outcome} value={outcome}>
            {t(`ledger.${outcome}`)}
          </option>
        ))}
      </select>
      <input type="date" aria-label={t("ledger.from")} value={wanted.value.from} onChange={set("from")} />
      <input placeholder={t("ledger.case")} aria-label={t("ledger.case")} value={wanted.value.case} onChange={set("case")} />
      <button onClick={() => void read()}>{t("ledger.again")}</button>
      <a class="button" href={`/v1/broadcasts/export?${query(wanted.value)}`} download>
        {t("ledger.export")}
      </a>
    </form>
  );
}

function Line({ city, one }: { city: City; one: Entry }) {
  const open = at.value === one.id;
  return (
    <tr data-broadcast={one.id} aria-current={open} onClick={() => (at.value = open ? null : one.id)}>
      <td>{when(one.created_at)}</td>
      <td>
        <button class="plain" aria-expanded={open}>
          {content(one)}
        </button>
      </td>
      <td class="place">{place(city, one)}</td>
      <td class={`state ${!one.open && one.deliveries.some((delivery) => delivery.state !== "done") ? "wrong" : ""}`}>{progress(one)}</td>
      <td class="came" title={one.outcome?.note}>{one.outcome ? one.outcome[`outcome_${language.value}`] : "—"}</td>
      <td class="dim" title={one.actor}>{[one.sender || who(one.actor), one.approver].filter(Boolean).join(" + ")}</td>
    </tr>
  );
}

const waits = (one: { deliveries: readonly { state: string }[] }) => one.deliveries.some((delivery) => delivery.state === "awaiting-approval");

/** How far it is: that a second person is waited for, that it goes on, or at how many loudspeakers it was played to its end. */
export function progress(one: { open: boolean; deliveries: readonly { state: string }[] }): string {
  if (waits(one)) return t("ledger.waits");
  return one.open ? t("ledger.open") : `${one.deliveries.filter((delivery) => delivery.state === "done").length}/${one.deliveries.length}`;
}

/** What was heard: the words, or the clip by its name. */
function content(one: Entry): string {
  if (one.kind === "speech") return one.text;
  const clip = library.value.get(one.clip ?? "");
  return [t(`ledger.${one.kind}`), clip && ((language.value === "en" && clip.name_en) || clip.name)].filter(Boolean).join(" · ");
}

/** Right below its line, whatever else the ledger holds; one that does not fit below it takes the line to the top. */
function Opened({ city, one }: { city: City; one: Entry }) {
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (row.current && row.current.getBoundingClientRect().bottom > innerHeight) row.current.previousElementSibling?.scrollIntoView();
  }, []);
  return (
    <tr class="opened" ref={row}>
      <td colSpan={6}>
        <Looked city={city} one={one} />
      </td>
    </tr>
  );
}

const NAMED = 4; // places that a line names; of more it says how many

/** Where it was meant to be heard, by names. */
export function place(city: City, { targets }: Pick<Entry, "targets">): string {
  const { views, zones, cells, groups, districts, polygon, circle, speakers } = targets;
  const meant = [
    ...views.map((view) => `${city.named(view.camera)} ${view.preset}`.trim()),
    ...zones.map((zone) => city.zones.get(zone) || zone),
    ...cells.map(cellNamed),
    ...groups.map((group) => city.groupNamed(group)),
    ...districts,
    ...(polygon.length > 0 ? [t("ledger.polygon", { n: polygon.length })] : []),
    ...(circle ? [t("ledger.circle", { radius: circle.radius_m, at: `${circle.centre.latitude}, ${circle.centre.longitude}` })] : []),
    ...[...new Set(speakers)].map((speaker) => city.named(speaker)),
  ];
  const names = meant.slice(0, NAMED).join(t("list.comma"));
  return meant.length > NAMED ? t("ledger.more", { names, n: meant.length - NAMED }) : names;
}

function Looked({ city, one }: { city: City; one: Entry }) {
  return (
    <article class="looked">
      <h3>
        {content(one)} {one.priority !== one.kind && <span class="chip">{t(`priority.${one.priority}` as Key)}</span>} {one.case && <span class="chip">{one.case}</span>} {one.reason}
      </h3>
      {one.override && <p>{t("ledger.override", { why: one.override })}</p>}
      <p class="dim">
        {exact(one.created_at)} · <code>{one.id}</code>
      </p>
      {waits(one) && may("broadcast:approve") && (
        <p class="one-key">
          <button onClick={() => void deed(one.id, "approve", undefined)}>{t("ledger.approve")}</button>
          <button onClick={() => void deed(one.id, "decline", undefined)}>{t("ledger.decline")}</button>
          {t("ledger.decide-by", { at: exact(one.not_after) })}
        </p>
      )}
      {one.open && !waits(one) && may("broadcast:send") && (
        <p class="one-key">
          <button class="silence" onClick={() => void deed(one.id, "cancel", undefined)}>
            {t("shout.silence")}
          </button>
        </p>
      )}
      {!waits(one) && may("broadcast:send") && <Outcomes id={one.id} />}
      {[...one.corrected, ...(one.outcome ? [one.outcome] : [])].map((said) => (
        <p key={said.at} class="dim">
          {when(said.at)} {said[`outcome_${language.value}`]} {said.note} · {said.name}
        </p>
      ))}
      <Deliveries city={city} of={one.deliveries} />
      <Recorded one={one} />
      <Pictures city={city} one={one} />
    </article>
  );
}

const LISTED = 6; // loudspeakers that are told of one by one at once; of more it is told how many are how

/** How it stands at each loudspeaker, many of them behind their numbers. */
function Deliveries({ city, of }: { city: City; of: readonly Delivery[] }) {
  return (
    <details class="deliveries" open={of.length <= LISTED}>
      <summary>{counted(of)}</summary>
      <ul>
        {of.map((delivery) => (
          <li key={delivery.speaker} data-state={delivery.state}>
            {city.named(delivery.speaker)} · {t(`delivery.${delivery.state}` as Key)} {[delivery.reason && reason(delivery.reason), remarked(delivery)].filter(Boolean).map((said) => `· ${said} `)}
            {delivery.may_still_sound && <strong>{t("delivery.may-still-sound")}</strong>}
            {timed(delivery) !== "" && <div class="dim">{timed(delivery)}</div>}
          </li>
        ))}
      </ul>
    </details>
  );
}

/** How many loudspeakers are in which state, the most common first; those that may still sound in front. */
export function counted(of: readonly Pick<Delivery, "state" | "may_still_sound">[]): string {
  const counts = new Map<string, number>();
  for (const { state } of of) counts.set(state, (counts.get(state) ?? 0) + 1);
  const sounding = of.filter((one) => one.may_still_sound).length;
  const words = [...counts].sort(([, a], [, b]) => b - a).map(([state, n]) => `${t(`delivery.${state}` as Key)} ${n}`);
  return [...(sounding > 0 ? [`${t("delivery.may-still-sound")} ${sounding}`] : []), ...words].join(" · ");
}

type Timed = Pick<Delivery, "first_packet_at" | "last_packet_at" | "packets" | "dropped" | "lost" | "clip_asked_at" | "clip_confirmed_at" | "clip_stop_asked_at" | "clip_silent_at">;

/** What was sent when and what of it is known to be missing; of a clip that a loudspeaker plays by itself, when it was told what, and when it answered. */
export function timed(of: Timed): string {
  const times = { asked: of.clip_asked_at, confirmed: of.clip_confirmed_at, "stop-asked": of.clip_stop_asked_at, silent: of.clip_silent_at };
  const known = Object.entries(times).filter((each): each is [keyof typeof times, string] => Boolean(each[1]));
  return [
    of.first_packet_at && t("ledger.sent", { n: of.packets, from: exact(of.first_packet_at), to: exact(of.last_packet_at ?? of.first_packet_at) }),
    of.dropped > 0 && t("ledger.dropped", { n: of.dropped }),
    of.lost !== null && of.lost > 0 && t("ledger.lost", { n: of.lost }),
    ...known.map(([name, at]) => t(`ledger.clip-${name}`, { at: exact(at) })),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** What came of it, by one key each; what is written beside it goes on record with it. The pressed one is the one that Enter means. */
function Outcomes({ id }: { id: string }) {
  const pressed = meant(id);
  return (
    <form
      class="one-key"
      onSubmit={(event) => {
        event.preventDefault();
        note(pressed ?? "other");
      }}
    >
      {OUTCOMES.map((outcome, number) => (
        <button key={outcome} type="button" aria-pressed={pressed === outcome} onClick={() => note(outcome)}>
          <kbd>{number + 1}</kbd> {t(`ledger.${outcome}`)}
        </button>
      ))}
      <input class="note" value={draft(id).words} maxLength={500} aria-label={t("ledger.note")} placeholder={t("ledger.note")} onInput={(event) => write(id, event.currentTarget.value)} />
    </form>
  );
}

/** What became of the recording, in a line: why there is none, how long it is, and whether its time is over. */
export function recorded(of: Recording): string {
  const length = of.duration_ms > 0 ? span(of.duration_ms / 1000) : "";
  return [of[`state_${language.value}`], of.reason && reason(of.reason), length, of.gone && t("ledger.recording-gone")].filter(Boolean).join(" · ");
}

/** Of a live talk: what became of its recording, its hash, and the sound for who may hear it. */
function Recorded({ one }: { one: Entry }) {
  const { recording } = one;
  if (one.kind !== "talk") return null;
  return (
    <div class="recorded" data-recording={recording.state}>
      <p class={recording.state === "failed" ? "wrong" : "dim"}>
        {t("ledger.recording")} · {recorded(recording)}
      </p>
      {recording.sha256 && <p class="dim hash">SHA-256 {recording.sha256}</p>}
      {recording.state === "kept" && !recording.gone && may("broadcast:listen") && (
        <a class="button" href={`/v1/broadcasts/${encodeURIComponent(one.id)}/recording`} download>
          {t("ledger.listen")}
        </a>
      )}
    </div>
  );
}

/** How long after its end a broadcast's pictures may still come: `broadcast.pictures_after_s` is ten minutes at the most, and taking one needs some seconds. */
const AWAITED_MS = 11 * 60_000;

type Pictured = Pick<Entry, "open" | "pictures" | "missing_pictures"> & { deliveries: { since: string }[] };

/** Whether a picture of which nothing is known may still come. */
function awaited({ open, deliveries }: Pictured): boolean {
  return open || gatewayNow() - Math.max(...deliveries.map((delivery) => Date.parse(delivery.since))) < AWAITED_MS;
}

/** Of a picture that was to be one of before, or of after: it, and what stands below it; where there is none, why, or that it is awaited. */
export function taken(one: Pictured, camera: string, moment: "before" | "after"): { picture?: Picture; said: string; late: boolean } {
  const moments: readonly string[] = moment === "before" ? ["before", "during"] : ["after"];
  const picture = one.pictures.find((each) => each.camera === camera && moments.includes(each.moment));
  const missing = one.missing_pictures.find((each) => each.camera === camera && each.moment === moment);
  const late = picture?.moment === "during";
  if (!picture && !missing && awaited(one)) return { said: t("ledger.awaited"), late };
  if (!picture) return { said: [t("ledger.no-picture"), missing && reason(missing.reason)].filter(Boolean).join(" · "), late };
  const voice = moment === "before" && picture.first_packet_at ? t("ledger.voice-at", { at: exact(picture.first_packet_at) }) : "";
  return { picture, said: [exact(picture.at), voice, picture.gone && t("ledger.picture-gone")].filter(Boolean).join(" · "), late };
}

/** What each camera saw before and after, side by side. */
function Pictures({ city, one }: { city: City; one: Entry }) {
  const cameras = [...new Set([...one.pictures, ...one.missing_pictures].map((picture) => picture.camera))];
  return (
    <>
      {cameras.map((camera) => (
        <div key={camera} class="pair">
          {(["before", "after"] as const).map((moment) => {
            const { picture, said, late } = taken(one, camera, moment);
            const name = t(late ? "ledger.during" : `ledger.${moment}`);
            return (
              <figure key={moment} data-moment={picture?.moment ?? "missing"}>
                {picture && !picture.gone && <img src={`/v1/broadcasts/${encodeURIComponent(one.id)}/pictures/${picture.sha256}`} alt={`${city.named(camera)} ${name}`} />}
                <figcaption class={late ? "wrong" : ""}>
                  {city.named(camera)} · {name} · {said}
                </figcaption>
              </figure>
            );
          })}
        </div>
      ))}
    </>
  );
}
