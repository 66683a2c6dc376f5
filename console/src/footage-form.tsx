// A footage request in two minutes: who, which case, where, from when and how long; the rest stands behind "more" with something sensible in it.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { gatewayNow } from "./api";
import type { City } from "./city";
import { BEHIND, DIRECTIONS, type Direction, type Draft, EMERGENCIES, type Emergency, type Field, hits, KINDS, type List, longAgo, MORE, OPTIONAL, type Place, type Word, windowOf, WORDS, wordings } from "./footage";
import { Recorded } from "./footage-coverage";
import { draft, faults, file, forget, listed, look, register, requests, type } from "./footage-shelf";
import { type Key, language, t, when, zone } from "./i18n";
import { CityMap, type Point } from "./map";
import { chosen, may } from "./session";

const LENGTHS = ["5", "10", "30", "60"];
const MOST = 200; // letters in a box

export function Form({ city }: { city: City }) {
  const form = useRef<HTMLFormElement>(null);
  const busy = useSignal(false);
  const typed = draft.value;
  useEffect(() => form.current?.querySelector<HTMLElement>("[name=requester]")?.focus(), []);
  if (typed === null) return null;
  const send = async () => {
    if (busy.value) return;
    busy.value = true;
    const filed = await file();
    busy.value = false;
    if (filed) return;
    const wrong = [...faults.value.keys()];
    if (BEHIND.some((name) => wrong.includes(name))) form.current?.querySelector("details")?.setAttribute("open", "");
    form.current?.querySelector<HTMLElement>("[aria-invalid='true']")?.focus();
  };
  return (
    <form
      ref={form}
      class="card request-form"
      aria-label={t("footage.new")}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          void send();
        }
      }}
    >
      <h2>{t("footage.new")}</h2>
      <p class="hint">{t("footage.new.how")}</p>
      <fieldset>
        <legend>{t("footage.who")}</legend>
        <Kind typed={typed} />
        {WORDS[typed.kind].map((name) => (
          <Words
            key={name}
            name={name}
            typed={typed}
            {...(name === "requester" && typed.kind !== "citizen" ? { list: "footage-requesters", taken: recall } : {})}
            hint={OPTIONAL.includes(name) ? t(name === "second_officer" ? "footage.may-follow" : "footage.optional") : name === "authorising_document" && typed.emergency !== "" ? t("footage.may-follow") : ""}
          />
        ))}
        <datalist id="footage-requesters">
          {[...new Set((requests.value ?? []).map((one) => one.requester))].map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      </fieldset>
      <Where city={city} typed={typed} />
      <When typed={typed} />
      <Recorded city={city} />
      <More typed={typed} />
      {faults.value.has("") && (
        <p class="wrong" role="alert">
          {faults.value.get("")}
        </p>
      )}
      <p class="repair">
        <button class="main" type="submit" disabled={busy.value}>
          {t("footage.file")} <kbd>Ctrl ⏎</kbd>
        </button>
        <button type="button" onClick={() => look(null)}>
          {t("footage.later")}
        </button>
        <button type="button" onClick={forget}>
          {t("footage.forget")}
        </button>
      </p>
    </form>
  );
}

/** Who came before is known: the badge, the unit and the second officer come by themselves where nothing stands yet. */
function recall(name: string): void {
  const before = (requests.value ?? []).find((one) => one.requester === name);
  if (before === undefined || draft.value === null) return;
  const { badge, unit, second_officer } = before;
  const empty = Object.entries({ badge, unit, second_officer }).filter(([field]) => draft.value?.[field as "badge"] === "");
  type(Object.fromEntries(empty));
}

function Kind({ typed }: { typed: Draft }) {
  return (
    <div class="field wide line" role="radiogroup" aria-label={t("footage.field.kind")}>
      {KINDS.map((kind) => (
        <label key={kind} class="chosen-one">
          <input type="radio" name="kind" value={kind} checked={typed.kind === kind} onChange={() => type({ kind, ...(kind === "citizen" && { emergency: "" as const }) })} /> {t(`footage.kind.${kind}`)}
        </label>
      ))}
      {typed.kind === "citizen" && <span class="hint">{t("footage.citizen.how")}</span>}
    </div>
  );
}

/** Danger to life and the like: fetched at once, with an alarm; who approves and the papers follow. */
function Emergencies({ typed }: { typed: Draft }) {
  if (!may("footage:urgent") || typed.kind === "citizen") return null;
  return (
    <label class="field wide">
      <span>{t("footage.field.emergency")}</span>
      <select name="emergency" value={typed.emergency} {...marked("emergency")} onChange={(event) => type({ emergency: event.currentTarget.value as Emergency | "" })}>
        <option value="">{t("footage.emergency.none")}</option>
        {EMERGENCIES.map((one) => (
          <option key={one} value={one}>
            {t(`footage.emergency.${one}`)}
          </option>
        ))}
      </select>
      {typed.emergency !== "" && <span class="wrong">{t("footage.emergency.how")}</span>}
      <Fault of="emergency" />
    </label>
  );
}

/** What a box is called: of a citizen other things are asked. */
function labelOf(name: Word, typed: Draft): Key {
  const ofCitizen: Partial<Record<Word, Key>> = { requester: "footage.field.citizen", badge: "footage.field.identity", purpose: "footage.field.why" };
  return (typed.kind === "citizen" && ofCitizen[name]) || `footage.field.${name}`;
}

function Words({ name, typed, list, taken, hint = "" }: { name: Word; typed: Draft; list?: string; taken?: (value: string) => void; hint?: string }) {
  return (
    <label class="field">
      <span>{t(labelOf(name, typed))}</span>
      <input
        type="text"
        name={name}
        value={typed[name]}
        maxLength={MOST}
        placeholder={hint}
        autocomplete="off"
        list={list}
        {...marked(name)}
        onInput={(event) => {
          type({ [name]: event.currentTarget.value });
          taken?.(event.currentTarget.value);
        }}
      />
      <Fault of={name} />
    </label>
  );
}

const marked = (name: Field) => (faults.value.has(name) ? { "aria-invalid": true as const, "aria-describedby": `fault-${name}` } : {});

function Fault({ of: name }: { of: Field }) {
  const fault = faults.value.get(name);
  return fault === undefined ? null : (
    <span class="wrong" id={`fault-${name}`}>
      {fault}
    </span>
  );
}

// -- where ------------------------------------------------------------------------------------------------------------

function Where({ city, typed }: { city: City; typed: Draft }) {
  const { places } = typed;
  const words = useSignal("");
  const lit = useSignal(0);
  const map = useSignal(false);
  const way = useSignal(false);
  const radius = useSignal(typed.circle?.radius_m ?? 300);
  const resize = (metres: number) => {
    if (!(metres > 0)) return;
    radius.value = metres;
    if (draft.value?.circle) type({ circle: { ...draft.value.circle, radius_m: metres } });
  };
  const found = useComputed(() => hits(city, words.value));
  const add = (place: Place | undefined) => {
    if (place === undefined) return;
    const now = draft.value?.places ?? []; // two clicks may come before one is drawn
    if (!now.some((one) => one.kind === place.kind && one.id === place.id)) type({ places: [...now, place] });
    words.value = "";
    lit.value = 0;
  };
  const take = (place: Place) => type({ places: (draft.value?.places ?? []).filter((one) => one !== place) });
  const point = (at: Point) => {
    if (way.value) type({ route: [...(draft.value?.route ?? []), at] });
    else type({ circle: { centre: at, radius_m: radius.value } });
  };
  const pick = (id: string) => {
    const group = city.groups.get(id);
    const picked = draft.value?.places.find((one) => one.kind === "group" && one.id === id);
    if (picked) take(picked);
    else if (group) add({ kind: "group", id, name: group.name });
  };
  return (
    <fieldset>
      <legend>{t("footage.where")}</legend>
      <div class="field wide">
        <div class="places">
          {places.map((place) => (
            <button key={`${place.kind} ${place.id}`} type="button" class="chip" title={place.id} aria-label={t("footage.where.without", { name: place.name })} onClick={() => take(place)}>
              {t(`footage.place.${place.kind}`)} {place.name} ✕
            </button>
          ))}
          {typed.circle && (
            <button type="button" class="chip" onClick={() => type({ circle: null })}>
              {t("footage.circle", { metres: typed.circle.radius_m })} ✕
            </button>
          )}
          {typed.route.length > 0 && <Way typed={typed} />}
        </div>
        <div class="line">
          <input
            name="places"
            role="combobox"
            aria-expanded={found.value.length > 0}
            aria-controls="footage-places"
            aria-label={t("footage.where")}
            placeholder={t("footage.where.how")}
            autocomplete="off"
            value={words.value}
            {...marked("places")}
            onInput={(event) => {
              words.value = event.currentTarget.value;
              lit.value = 0;
            }}
            onKeyDown={(event) => {
              const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
              if (by !== undefined) lit.value = Math.min(found.value.length - 1, Math.max(0, lit.value + by));
              else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.isComposing) add(found.value[lit.value]);
              else if (event.key === "Backspace" && words.value === "" && places.length > 0) take(places[places.length - 1]!);
              else return;
              event.preventDefault();
            }}
          />
          <button type="button" aria-pressed={map.value} onClick={() => (map.value = !map.value)}>
            {t("view.map")}
          </button>
        </div>
        <Fault of="places" />
        {found.value.length > 0 && (
          <ul id="footage-places" class="hits" role="listbox">
            {found.value.map((place, index) => (
              <li key={`${place.kind} ${place.id}`} role="option" aria-selected={index === lit.value} onClick={() => add(place)}>
                <span class="chip">{t(`footage.place.${place.kind}`)}</span> {place.name} <code>{place.id}</code>
              </li>
            ))}
          </ul>
        )}
        {words.value.trim() !== "" && found.value.length === 0 && <p class="hint">{t("nomatch")}</p>}
        {map.value && (
          <>
            <p class="line">
              <span class="hint">{t(way.value ? "footage.route.how" : "footage.around")}</span>
              {!way.value && (
                <>
                  <input class="short" type="number" min="10" step="10" aria-label={t("footage.around")} value={radius.value} onInput={(event) => resize(Number(event.currentTarget.value))} /> m
                </>
              )}
              <button type="button" aria-pressed={way.value} onClick={() => (way.value = !way.value)}>
                {t("footage.route")}
              </button>
            </p>
            <CityMap city={city} picking={{ picked: places.filter((one) => one.kind === "group").map((one) => one.id), pick, point, circle: typed.circle, route: typed.route }} />
          </>
        )}
        {chosen.value !== null && city.groups.has(chosen.value) && places.length === 0 && (
          <button type="button" onClick={() => pick(chosen.value!)}>
            + {city.groups.get(chosen.value)!.name}
          </button>
        )}
      </div>
    </fieldset>
  );
}

/** A way: its corners, which way it was gone and how fast. */
function Way({ typed }: { typed: Draft }) {
  return (
    <span class="line way">
      <button type="button" class="chip" onClick={() => type({ route: typed.route.slice(0, -1) })}>
        {t("footage.route.corners", { n: typed.route.length })} ✕
      </button>
      <select aria-label={t("footage.route.direction")} value={typed.direction} onChange={(event) => type({ direction: event.currentTarget.value as Direction })}>
        {DIRECTIONS.map((one) => (
          <option key={one} value={one}>
            {t(`footage.direction.${one}`)}
          </option>
        ))}
      </select>
      <input class="short" type="number" min="1" max="200" aria-label={t("footage.route.slowest")} title={t("footage.route.slowest")} value={typed.slowest} onInput={(event) => type({ slowest: event.currentTarget.value })} />
      –
      <input class="short" type="number" min="1" max="200" aria-label={t("footage.route.fastest")} title={t("footage.route.fastest")} value={typed.fastest} onInput={(event) => type({ fastest: event.currentTarget.value })} /> km/h
    </span>
  );
}

// -- when -------------------------------------------------------------------------------------------------------------

function When({ typed }: { typed: Draft }) {
  const window = windowOf(typed);
  return (
    <fieldset>
      <legend>{t("footage.when")}</legend>
      <label class="field">
        <span>{t("footage.field.start")}</span>
        <input name="start" type="datetime-local" step="1" value={typed.start} {...marked("start")} onInput={(event) => type({ start: event.currentTarget.value })} />
        <Fault of="start" />
      </label>
      <label class="field">
        <span>{t("footage.field.minutes")}</span>
        <span class="line">
          <input name="minutes" type="number" min="0" step="any" value={typed.minutes} {...marked("minutes")} onInput={(event) => type({ minutes: event.currentTarget.value })} />
          {LENGTHS.map((length) => (
            <button key={length} type="button" tabIndex={-1} aria-pressed={typed.minutes === length} onClick={() => type({ minutes: length })}>
              {length}
            </button>
          ))}
        </span>
        <Fault of="minutes" />
      </label>
      {window && (
        <p class="hint wide">
          {when(window.start)} → {when(window.end)} ({zone(new Date(window.start))})
        </p>
      )}
      {window && longAgo(window, gatewayNow()) && <p class="wrong wide">{t("footage.long-ago")}</p>}
      <Emergencies typed={typed} />
    </fieldset>
  );
}

// -- more -------------------------------------------------------------------------------------------------------------

function More({ typed }: { typed: Draft }) {
  const known = register.value;
  if (known === null) return null;
  return (
    <details>
      <summary>
        {t("footage.more")} <span class="dim">{typed.kind !== "citizen" && [listed("case_kinds", typed.case_kind), listed("legal_bases", typed.legal_basis)].filter(Boolean).join(" · ")}</span>
      </summary>
      <fieldset>
        {typed.kind !== "citizen" && (
          <>
            <Choice name="case_kind" value={typed.case_kind} list="case_kinds" />
            <Choice name="legal_basis" value={typed.legal_basis} list="legal_bases" />
            {MORE.map((name) => (
              <Words key={name} name={name} typed={typed} hint={{ purpose: known.case_kinds[typed.case_kind], destination: typed.unit }[name as string] ?? ""} />
            ))}
          </>
        )}
        <label class="field">
          <span>{t("footage.field.tolerance")}</span>
          <input name="tolerance" type="number" min="0" step="any" value={typed.tolerance} placeholder="0" {...marked("tolerance")} onInput={(event) => type({ tolerance: event.currentTarget.value })} />
          <Fault of="tolerance" />
        </label>
        <label class="field check">
          <input name="urgent" type="checkbox" checked={typed.urgent} {...marked("urgent")} onChange={(event) => type({ urgent: event.currentTarget.checked })} /> {t("footage.field.urgent")}
          <Fault of="urgent" />
        </label>
      </fieldset>
    </details>
  );
}

function Choice({ name, value, list }: { name: "case_kind" | "legal_basis"; value: string; list: List }) {
  return (
    <label class="field">
      <span>{t(`footage.field.${name}`)}</span>
      <select name={name} value={value} {...marked(name)} onChange={(event) => type({ [name]: event.currentTarget.value })}>
        {Object.entries(wordings(register.value, list, language.value)).map(([code, words]) => (
          <option key={code} value={code}>
            {words}
          </option>
        ))}
      </select>
      <Fault of={name} />
    </label>
  );
}
