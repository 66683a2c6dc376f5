// On a camera's page: who hears it there, a key to talk by, a text or a clip to be said, how it goes, and silence for all.
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { City, Device } from "./city";
import { reason, t } from "./i18n";
import { presetsBound, Refused } from "./api";
import { may, tell } from "./session";
import { type Stage, TalkKey } from "./talk";
import { beside, type Broadcast, byName, type Choice, type Clip, clips, remarked, type Said, say, type SayOrder, silence, silenced, stopAll, unsilenced, watch } from "./voice";
import { reasons, remember } from "./why";

const NEAREST = "";
const ANYWHERE = "";
const QUIET = ["quiet-hours"];

export function Shout({ city, device }: { city: City; device: Device }) {
  if (!may("broadcast:send")) return null;
  return (
    <section class="shout" aria-label={t("shout")}>
      <h3>{t("shout")}</h3>
      <Desk key={device.id} city={city} device={device} />
    </section>
  );
}

function Desk({ city, device }: { city: City; device: Device }) {
  const choices = useSignal<Choice[] | null>(null);
  const turns = useSignal(0); // one more whenever who would speak may be another one
  const stale = useComputed(() => choices.value?.some((one) => (city.devices.get(one.speaker)?.standing.value.state ?? one.state) !== one.state));
  const speaker = useSignal(NEAREST);
  const caseNumber = useSignal("");
  const why = useSignal("");
  const override = useSignal("");
  const quiet = useSignal(false);
  const urgent = useSignal(false); // for what is said next alone: nobody interrupts a city by an old tick
  const heard = useSignal<Broadcast | null>(null);
  const trouble = useSignal("");
  const twice = useSignal<{ asked: SayOrder; what: Said } | null>(null);
  const presets = useSignal<string[]>([ANYWHERE]);
  const preset = useSignal(ANYWHERE);
  const camera = device.kind === "camera";
  const view = () => ({ camera: device.id, ...(preset.value !== ANYWHERE && { preset: preset.value }) });
  const order = (): SayOrder => ({
    targets: !camera ? { speakers: [device.id] } : speaker.value === NEAREST ? { views: [view()] } : { speakers: [speaker.value] },
    ...(caseNumber.value.trim() && { case: caseNumber.value.trim() }),
    ...(why.value.trim() && { reason: why.value.trim() }),
    ...(urgent.value && { priority: "emergency" }),
    ...(quiet.value && override.value.trim() && { override: override.value.trim() }),
  });
  const key = useMemo(() => new TalkKey(order), []);
  useEffect(() => {
    if (camera) void presetsBound(device.id).then((found) => (presets.value = found), complain);
  }, []);
  useSignalEffect(() => {
    const asked = [preset.value, turns.value, urgent.value, stale.value];
    const current = () => asked[0] === preset.value && asked[1] === turns.value && asked[2] === urgent.value;
    if (camera) void beside(device.id, preset.value, urgent.value ? "emergency" : "talk").then((found) => current() && (choices.value = found), (error) => current() && complained(error));
  });
  useSignalEffect(() => {
    if (key.broadcast.value !== null) heard.value = key.broadcast.value;
    if (key.stage.value === "waiting") remember(why.peek().trim());
    const ending = key.ending.value;
    if (ending === null) return;
    if (QUIET.includes(ending.reason)) quiet.value = true;
    trouble.value = ending.wrong ? ending.words || reason(ending.reason) : "";
    twice.value = null;
    if (ending.broadcast !== null) urgent.value = false;
    turns.value = turns.peek() + 1;
  });
  const complained = (error: unknown) => {
    if (error instanceof Refused && QUIET.includes(error.code)) quiet.value = true;
    trouble.value = String((error as Error).message);
  };
  const complain = (error: unknown) => {
    complained(error);
    turns.value += 1;
  };
  const send = (what: Said, asked = order()) => {
    trouble.value = "";
    twice.value = null;
    say(asked, what)
      .then((begun) => {
        remember(asked.reason);
        urgent.value = false;
        heard.value = begun;
        return watch(begun.id, (now) => {
          if (heard.value?.id !== begun.id) return false;
          heard.value = now;
          if (!now.open) turns.value += 1;
          return true;
        });
      })
      .catch((error: unknown) => {
        if (!(error instanceof Refused) || error.code !== "duplicate") return complain(error);
        trouble.value = t("shout.duplicate");
        twice.value = { asked: { ...asked, again: true }, what };
      });
  };
  const look = (one: string) => {
    [choices.value, speaker.value, preset.value] = [null, NEAREST, one];
  };
  const answer = useRef<HTMLDivElement>(null);
  const answered = trouble.value !== "" || heard.value !== null;
  useEffect(() => answer.current?.scrollIntoView({ block: "nearest" }), [trouble.value, heard.value?.id]); // whoever spoke sees what came of it
  return (
    <>
      {camera && <Presets presets={presets.value} chosen={preset.value} choose={look} />}
      {camera && <Hearers choices={choices.value} chosen={speaker.value} choose={(id) => (speaker.value = id)} />}
      <TalkButton talk={key} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const text = new FormData(event.currentTarget).get("text");
          if (typeof text === "string" && text.trim()) send({ text: text.trim() });
        }}
      >
        <input name="text" maxLength={500} aria-label={t("shout.text")} placeholder={t("shout.text")} onInput={() => (twice.value = null)} />
        <button type="submit">{t("shout.say")}</button>
      </form>
      {may("broadcast:emergency") && (
        <label class={`urgent ${urgent.value ? "wrong" : "dim"}`}>
          <input type="checkbox" checked={urgent.value} onChange={(event) => (urgent.value = event.currentTarget.checked)} /> {t("shout.urgent")}
        </label>
      )}
      <Library play={(clip) => send({ clip })} />
      {quiet.value && may("broadcast:override") && (
        <label class="line">
          {t("shout.override")}{" "}
          <input class="override" value={override.value} maxLength={200} onInput={(event) => (override.value = event.currentTarget.value)} />
        </label>
      )}
      {answered && (
        <div class="answer" ref={answer}>
          {trouble.value !== "" && (
            <p class="wrong" role="alert">
              {trouble.value}
            </p>
          )}
          {twice.value !== null && (
            <button class="again" onClick={() => send(twice.value!.what, twice.value!.asked)}>
              {t("shout.again")}
            </button>
          )}
          <Outcome city={city} broadcast={heard.value} />
          {heard.value?.open && (
            <button class="silence" onClick={() => void silence(heard.value!.id).then((now) => (heard.value = now), complain)}>
              {t("shout.silence")}
            </button>
          )}
        </div>
      )}
      <label class="line">
        {t("shout.case")} <input value={caseNumber.value} maxLength={200} onInput={(event) => (caseNumber.value = event.currentTarget.value)} />
      </label>
      <Why why={why.value} give={(given) => (why.value = given)} />
      <StopAll city={city} />
    </>
  );
}

/** Why somebody speaks, for the record; what was given last is suggested. */
function Why({ why, give }: { why: string; give: (reason: string) => void }) {
  return (
    <label class="line">
      {t("shout.reason")}{" "}
      <input class="why" value={why} maxLength={100} list="last-reasons" placeholder={t("shout.reason.hint")} onInput={(event) => give(event.currentTarget.value)} />
      <datalist id="last-reasons">
        {reasons.value.map((one) => (
          <option key={one} value={one} />
        ))}
      </datalist>
    </label>
  );
}

/** Where the camera looks, as far as loudspeakers are bound to its presets. */
function Presets({ presets, chosen, choose }: { presets: string[]; chosen: string; choose: (preset: string) => void }) {
  if (presets.length < 2) return null;
  return (
    <label class="line">
      {t("shout.looks")}{" "}
      <select class="preset" value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
        {presets.map((one) => (
          <option key={one} value={one}>
            {one === ANYWHERE ? t("preset.any") : t("preset.one", { preset: one })}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Who hears it: the nearest loudspeaker bound to the view, or one that is named. */
function Hearers({ choices, chosen, choose }: { choices: Choice[] | null; chosen: string; choose: (id: string) => void }) {
  if (choices === null) return <p class="hint">{t("loading")}</p>;
  const nearest = choices.filter((one) => one.chosen);
  return (
    <fieldset class="hearers">
      <legend>{t("shout.heard-by")}</legend>
      <label>
        <input type="radio" name="hearer" checked={chosen === NEAREST} onChange={() => choose(NEAREST)} />
        {nearest.length > 0 ? t("shout.nearest", { names: nearest.map((one) => one.name || one.speaker).join(", ") }) : t("shout.nobody")}
      </label>
      {choices.map((one) => (
        <label key={one.speaker}>
          <input type="radio" name="hearer" checked={chosen === one.speaker} onChange={() => choose(one.speaker)} />
          {one.name || one.speaker}{" "}
          <span class="dim">
            {one.view?.distance_m != null && `${Math.round(one.view.distance_m)} m`} {one.reason !== "" && reason(one.reason)}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

/** Held down, by pointer or by the space bar, it talks; let go, it ends. */
function TalkButton({ talk }: { talk: TalkKey }) {
  const stage = talk.stage.value;
  useEffect(() => {
    const lose = () => document.hidden && talk.release("lost-focus");
    const blur = () => talk.release("lost-focus");
    document.addEventListener("visibilitychange", lose);
    window.addEventListener("blur", blur);
    return () => {
      document.removeEventListener("visibilitychange", lose);
      window.removeEventListener("blur", blur);
      talk.release("lost-focus");
    };
  }, []);
  const pressing = (event: KeyboardEvent) => event.key === " " || event.key === "Enter";
  return (
    <div class={`talk ${stage}`}>
      <button
        class="talk-key"
        aria-pressed={stage !== "off"}
        aria-describedby="talk-stage"
        aria-keyshortcuts="t"
        title={t("shout.hold.how")}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          talk.press();
        }}
        onPointerUp={() => talk.release("released")}
        onPointerCancel={() => talk.release("released")}
        onContextMenu={(event) => event.preventDefault()}
        onKeyDown={(event) => {
          if (!pressing(event)) return;
          event.preventDefault();
          if (!event.repeat) talk.press();
        }}
        onKeyUp={(event) => pressing(event) && talk.release("released")}
        onBlur={() => talk.release("lost-focus")}
      >
        {t("shout.hold")}
      </button>
      <span id="talk-stage" class="stage" role="status">
        {t(`talk.${stage satisfies Stage}`)}
      </span>
      <Meter talk={talk} />
    </div>
  );
}

const FLOOR_DB = -60;

function Meter({ talk }: { talk: TalkKey }) {
  const level = talk.level.value;
  if (talk.stage.value === "off" || level === null) return null;
  const rms = Math.max(FLOOR_DB, level.rms_db);
  return (
    <>
      <meter min={FLOOR_DB} max={0} low={-40} high={-6} optimum={-20} value={rms} aria-label={t("talk.level")} title={`${level.rms_db} dB`} />
      {(level.clipping || level.silent) && <em role="status">{t(level.clipping ? "talk.clipping" : "talk.silent")}</em>}
    </>
  );
}

function Library({ play }: { play: (clip: string) => void }) {
  const found = useSignal<Clip[] | null>(null);
  const chosen = useSignal("");
  useEffect(() => {
    clips().then((all) => {
      found.value = byName(all);
      chosen.value = found.value[0]?.id ?? "";
    }, () => (found.value = []));
  }, []);
  if (found.value === null || found.value.length === 0) return null;
  return (
    <p class="line">
      <select aria-label={t("shout.clip")} value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
        {found.value.map((clip) => (
          <option key={clip.id} value={clip.id}>
            {[clip.name, clip.name_en].filter(Boolean).join(" · ")} ({(clip.duration_ms / 1000).toFixed(0)} s)
          </option>
        ))}
      </select>
      <button onClick={() => play(chosen.value)}>{t("shout.play")}</button>
    </p>
  );
}

/** How it stands at each loudspeaker. */
function Outcome({ city, broadcast }: { city: City; broadcast: Broadcast | null }) {
  if (broadcast === null) return null;
  return (
    <ul class="outcome" aria-live="polite">
      {broadcast.deliveries.map((one) => (
        <li key={one.speaker} class={`delivery ${one.state}`} data-speaker={one.speaker} data-state={one.state}>
          <b>{city.named(one.speaker)}</b> {t(`delivery.${one.state}` as Parameters<typeof t>[0])}{" "}
          {one.reason !== "" && <em title={one.detail}>{reason(one.reason)}</em>} {remarked(one) !== "" && <em>{remarked(one)}</em>}{" "}
          {one.may_still_sound && <strong>{t("delivery.may-still-sound")}</strong>}
        </li>
      ))}
    </ul>
  );
}

/** One press, and no loudspeaker of the city sounds any more: it asks nothing. */
export function StopAll({ city }: { city: City }) {
  if (!may("broadcast:stop")) return null;
  return (
    <button
      class="stop-all"
      onClick={() => {
        stopAll().then(
          ({ broadcasts, speakers, may_still_sound: sounding }) =>
            sounding.length === 0
              ? tell(silenced(broadcasts, speakers))
              : tell(unsilenced(city, sounding), true),
          (error: unknown) => tell(String((error as Error).message), true),
        );
      }}
    >
      {t("stop-all")}
    </button>
  );
}
