// One footage request in full: the decision, what was recorded and what was not, the files with their digests, who had what in hand.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { City } from "./city";
import { barOf, barred, bringable, copied, type Coverage, deliverable, type Dossier, held, leftOf, lengthOf, looked, packed, type Period, progressOf, sized, type Step, steps, unconfirmed, wantedOf, WORDY, working } from "./footage";
import { BroughtFiles } from "./footage-brought";
import { Checked, damage, PROOF } from "./footage-checked";
import { Holds } from "./footage-holds";
import { Links } from "./footage-links";
import { Media } from "./footage-media";
import { Papers } from "./footage-papers";
import { Sending } from "./footage-sending";
import { Strip } from "./footage-strip";
import { Viewings } from "./footage-viewing";
import { act, listed, mine, readRegister } from "./footage-shelf";
import { exact, type Key, language, reason, span, t, when, who, worded, zone } from "./i18n";
import { Stage, Urgent } from "./marks";
import { may } from "./session";

const PAPERS = ["custody-sheet.html", "evidence-list.html", "verify.html", "manifest.json"] as const;

export function DossierPage({ city, one }: { city: City; one: Dossier }) {
  useEffect(() => void readRegister(), []);
  return (
    <article class="dossier">
      <section class="card">
        <h2>
          {one.case_number} <Stage state={one.state} /> <Urgent one={one} />
        </h2>
        <p class="where">
          <code>{one.id}</code> · {exact(one.start)} → {exact(one.end)} ({zone(new Date(one.start))}, {span(lengthOf(one))}
          {one.tolerance_s > 0 && ` ± ${span(one.tolerance_s)}`})
        </p>
        {one.reason !== "" && one.reason !== one.note && <p class={one.state === "ready" ? "dim" : "wrong"}>{told(one.reason)}</p>}
        {working(one.state) && <Fetching one={one} />}
        <Deeds key={`${one.id} ${one.state}`} one={one} />
        <Facts city={city} one={one} />
      </section>
      <Papers one={one} />
      {one.coverage.length > 0 && <Recorded city={city} one={one} />}
      {held(one.state) && <Holds city={city} one={one} />}
      {packed(one) && <Files one={one} />}
      {packed(one) && <Viewings one={one} />}
      {packed(one) && <Links one={one} />}
      {packed(one) && <Sending one={one} />}
      {packed(one) && <Media one={one} />}
      {bringable(one.state) && <BroughtFiles city={city} one={one} />}
      <Log city={city} one={one} />
    </article>
  );
}

/** The reason of a camera's footage, code by code, in the reader's language where it is known. */
function told(text: string): string {
  return text
    .split("; ")
    .map((part) => part.replace(/^(\S+): (.*)$/s, (_, camera: string, why: string) => `${camera}: ${reason(why)}`))
    .join("; ");
}

/** How far it is, how much that is, and how long the rest will take. */
function Fetching({ one }: { one: Dossier }) {
  const left = leftOf(one.progress);
  const size = one.progress.reduce((sum, each) => sum + each.size, 0);
  return (
    <>
      <progress aria-label={t("footage.progress")} value={progressOf(one)} max={1} />
      {size > 0 && (
        <p class="dim">
          {sized(size)} {left !== null && t("footage.left", { left: span(left) })}
        </p>
      )}
    </>
  );
}

// -- what can be done -------------------------------------------------------------------------------------------------

/** What Enter does; the others are too final to be done in passing. */
const ENTERED: readonly Step[] = ["approve", "confirm", "hand-over"];
const DECIDING: readonly Step[] = ["approve", "reject", "confirm", "revoke"];

function Deeds({ one }: { one: Dossier }) {
  const note = useSignal("");
  const missing = useSignal<Step | null>(null);
  const possible = steps(one, may, mine(one));
  const why = barred(one, may, mine(one));
  if (possible.length === 0) return why && <p class="hint barred">{t(why, { name: one.submitted_by.name })}</p>;
  const go = (step: Step) => {
    const text = note.value.trim();
    missing.value = text === "" && WORDY.includes(step) ? step : null;
    if (missing.value === null) void act(one.id, step, text);
  };
  const first = possible[0]!;
  const label = t(first === "hand-over" ? "footage.receiver" : DECIDING.includes(first) ? "footage.note" : "footage.note.own");
  return (
    <form
      class="deeds decide"
      onSubmit={(event) => {
        event.preventDefault();
        if (ENTERED.includes(first)) go(first);
      }}
    >
      <input
        value={note.value}
        maxLength={200}
        aria-label={label}
        placeholder={label}
        aria-invalid={missing.value !== null}
        onInput={(event) => {
          note.value = event.currentTarget.value;
          missing.value = null;
        }}
      />
      {missing.value !== null && <span class="wrong">{t(missing.value === "hand-over" ? "footage.receiver.missing" : "footage.note.missing")}</span>}
      {possible.includes("hand-over") && !copied(one) && <em class="uncopied">{t("footage.uncopied")}</em>}
      <p class="buttons">
        {possible.map((step) => (
          <button key={step} type="button" class={step === first && ENTERED.includes(step) ? "main" : ""} data-step={step} onClick={() => go(step)}>
            {t(`footage.step.${step}`)}
          </button>
        ))}
      </p>
    </form>
  );
}

function Facts({ city, one }: { city: City; one: Dossier }) {
  const comma = language.value === "zh" ? "、" : ", ";
  const facts: [Key, string][] = [
    ["footage.where", one.cameras.map((camera) => city.devices.get(camera)?.name || camera).join(comma)],
    ["footage.field.kind", worded("footage.kind", one.kind)],
    ["footage.field.requester", `${one.requester} ${one.badge}`],
    ["footage.field.contact", one.contact],
    ["footage.field.second_officer", one.second_officer],
    ["footage.field.unit", one.unit],
    ["footage.field.case_kind", listed("case_kinds", one.case_kind)],
    ["footage.field.authorising_document", one.authorising_document],
    ["footage.field.legal_basis", listed("legal_bases", one.legal_basis)],
    ["footage.field.purpose", one.purpose],
    ["footage.field.destination", one.destination],
    ["footage.submitted-by", `${one.submitted_by.name} · ${when(one.submitted_at)}`],
    ["footage.decided-by", one.decided_by ? `${one.decided_by.name} · ${when(one.decided_at)} ${one.note}` : ""],
  ];
  return (
    <>
      {one.missing.length > 0 && <p class="hint">{t("footage.missing", { names: one.missing.map((name) => worded("footage.field", name)).join(comma) })}</p>}
      <dl class="facts">
        {facts
          .filter(([, value]) => value.trim() !== "")
          .map(([name, value]) => (
            <div key={name}>
              <dt>{t(name)}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
    </>
  );
}

// -- what there is of it ----------------------------------------------------------------------------------------------

function Recorded({ city, one }: { city: City; one: Dossier }) {
  return (
    <section class="card">
      <h2>{t("footage.coverage")}</h2>
      <p class="legend dim">
        <i class="recorded" /> {t("footage.recorded")} <i class="obtained" /> {t("footage.obtained")} <i class="gap" /> {t("footage.gap")}
      </p>
      {one.coverage.map((each) => (
        <div key={each.camera}>
          <Track city={city} window={wantedOf(one, each.camera)} of={each} fetched={one.files.filter((file) => file.camera === each.camera)} />
          {looked(one.state) && <Strip one={one} camera={each.camera} />}
        </div>
      ))}
    </section>
  );
}

function Track({ city, window, of, fetched }: { city: City; window: Period; of: Coverage; fetched: readonly Period[] }) {
  const name = city.devices.get(of.camera)?.name ?? "";
  const obtained = of.obtained.length > 0 ? of.obtained : fetched;
  return (
    <div class="track" data-camera={of.camera}>
      <p>
        <b>{name || of.camera}</b> <code>{of.camera}</code> <span class="dim">{worded("footage.export", of.state)}</span>{" "}
        {of.reason !== "" && <em>{reason(of.reason)}</em>}{" "}
        {of.clock_offset_s !== null && Math.abs(of.clock_offset_s) >= 1 && (
          <span class="chip">{t(of.clock_offset_s > 0 ? "footage.clock.fast" : "footage.clock.slow", { by: span(Math.abs(of.clock_offset_s)) })}</span>
        )}
      </p>
      <div class="bar" role="img" aria-label={spoken(of)}>
        <Bars window={window} kind="recorded" periods={of.recorded} />
        <Bars window={window} kind="obtained" periods={obtained} />
        <Bars window={window} kind="gap" periods={of.gaps} />
      </div>
      {of.gaps.length > 0 && (
        <ul class="gaps">
          {of.gaps.map((gap) => (
            <li key={gap.start}>
              {t("footage.gap")} {exact(gap.start)} → {exact(gap.end)} ({span(lengthOf(gap))})
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Bars({ window, kind, periods }: { window: Period; kind: string; periods: readonly Period[] }) {
  return (
    <>
      {periods.map((period) => {
        const bar = barOf(window, period);
        return bar && <i key={`${kind} ${period.start}`} class={kind} style={{ left: `${bar.left}%`, width: `${bar.width}%` }} title={`${t(`footage.${kind}` as Key)} ${exact(period.start)} → ${exact(period.end)}`} />;
      })}
    </>
  );
}

function spoken(of: Coverage): string {
  return of.gaps.length === 0 ? worded("footage.export", of.state) : of.gaps.map((gap) => `${t("footage.gap")} ${exact(gap.start)} → ${exact(gap.end)}`).join("; ");
}

// -- what goes out ----------------------------------------------------------------------------------------------------

function Files({ one }: { one: Dossier }) {
  const own = mine(one) && may("footage:download") && deliverable(one.state) && one.kind !== "citizen" && !unconfirmed(one) && (one.missing.length === 0 || one.owing);
  const url = (rest: string) => `/v1/footage-requests/${encodeURIComponent(one.id)}/${rest}`;
  return (
    <section class="card">
      <h2>{t("footage.files")}</h2>
      <p class="hint">{t(own ? "footage.files.how" : one.kind === "citizen" ? "footage.files.no-copy" : deliverable(one.state) && unconfirmed(one) ? "footage.files.unconfirmed" : one.missing.length > 0 && !one.owing ? "footage.files.incomplete" : deliverable(one.state) ? "footage.files.theirs" : "footage.files.not", { name: one.submitted_by.name })}</p>
      <table class="windows files">
        <tbody>
          {one.files.map((file) => (
            <tr key={file.name} class={file.removed ? "is-over" : ""}>
              <td>
                <Named file={file} url={url} own={own} />
                <br />
                <span class="dim">
                  {exact(file.start)} → {exact(file.end)}
                </span>
              </td>
              <td>
                {sized(file.size)} <span class="dim">{t("footage.downloads", { n: file.downloads })}</span>
                {file.sound_left_out !== "" && <span class="wrong"> {t("footage.silent", { encoding: file.sound_left_out })}</span>}
                {file.sound_refused !== "" && <span class="wrong"> {t("footage.refused-sound", { encoding: file.sound_refused })}</span>}
                {file.set_backs > 0 && <span class="wrong"> {t("footage.set-back")}</span>}
                {file.time_source === "reckoned" && <span class="wrong"> {t("footage.reckoned")}</span>}
                {file.source === "card" && <span class="chip">{t("footage.from-card")}</span>}
                {file.damaged > 0 && <span class="wrong"> {t("footage.damaged", { n: file.damaged })}</span>}
              </td>
              <td>
                <Digest one={one} file={file} />
              </td>
            </tr>
          ))}
          {one.brought.map((file) => (
            <tr key={file.name} class={file.removed ? "is-over" : ""}>
              <td>
                <Named file={file} url={url} own={own} />
                <br />
                <span class="dim">{file.original_name}</span>
              </td>
              <td>
                {sized(file.size)} <span class="dim">{t("footage.downloads", { n: file.downloads })}</span> <span class="chip">{t("footage.not-fetched")}</span>
              </td>
              <td>
                <Digest one={one} file={file} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {one.checks.some((check) => check.name === PROOF) && (
        <p class="dim">
          {t("footage.checked.proof")} <Checked one={one} of={PROOF} />
        </p>
      )}
      {own && (
        <p class="repair">
          <a class="button main" href={url("package")} download>
            {t("footage.package")}
          </a>
          {PAPERS.map((name) => (
            <a key={name} class="button" href={url(`files/${name}`)} download={name}>
              {t(`footage.paper.${name}`)}
            </a>
          ))}
        </p>
      )}
    </section>
  );
}

/** A file's digest, and whether it still had that when it was read again the last time. */
function Digest({ one, file }: { one: Dossier; file: { name: string; sha256: string; removed: boolean } }) {
  return (
    <>
      <code title="SHA-256">{file.sha256}</code>
      {!file.removed && <Checked one={one} of={file.name} />}
    </>
  );
}

/** A file's name; for who may have it, the way to it. */
function Named({ file, url, own }: { file: { name: string; removed: boolean }; url: (rest: string) => string; own: boolean }) {
  if (!own || file.removed) return <>{file.name}</>;
  return (
    <a href={url(`files/${encodeURIComponent(file.name)}`)} download={file.name}>
      {file.name}
    </a>
  );
}

function Log({ city, one }: { city: City; one: Dossier }) {
  const nameOf = (camera: string) => city.devices.get(camera)?.name || camera;
  return (
    <section class="card">
      <h2>{t("footage.custody")}</h2>
      <ol class="history">
        {one.custody.map((entry) => (
          <li key={entry.number}>
            <time>{exact(entry.at)}</time>
            <span>
              {worded("footage.did", entry.step)} <span class="dim">{entry.by.name === "gateway" ? t("gateway") : entry.by.name || who(entry.by.actor)}</span> {detail(entry.detail, nameOf)}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** What a line of the custody log says beside who did what; `nameOf`: what a camera is called. */
export function detail(of: Record<string, unknown>, nameOf: (camera: string) => string): string {
  const files = Array.isArray(of["files"]) ? of["files"].map((file: { name: string }) => file.name) : [];
  const words = (["name", "camera", "viewer", "receiver", "reason", "why", "outcome"] as const)
    .filter((name) => typeof of[name] === "string" && of[name] !== "")
    .map((name) => (name === "camera" ? nameOf(of[name] as string) : saying(name, of[name] as string)));
  const asked = Array.isArray(of["asked"]) ? (of["asked"] as string[]) : [];
  const counts = (["times", "others"] as const).filter((name) => typeof of[name] === "number").map((name) => t(`footage.denied.${name}`, { n: of[name] as number }));
  const had = of["taken_over"] === true ? [t("footage.taken-over", { at: exact(String(of["fetched_at"])) })] : [];
  return [...words, ...files, ...asked, ...counts, ...had].join(" · ");
}

function saying(name: string, value: string): string {
  if (name === "reason") return told(value);
  if (name === "why") return damage(reason(value));
  return name === "outcome" ? worded("footage.viewed", value) : value;
}
