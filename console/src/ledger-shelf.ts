// What the ledger of broadcasts knows: its entries, kept true by events; which one is looked at; and what is being written beside each.
import { effect, signal } from "@preact/signals";
import { get, post, unanswered } from "./api";
import { may, phase, sounded, tell } from "./session";
import { type Clip, clips, type Delivery } from "./voice";

export type Outcome = "left" | "passed-on" | "nobody" | "other";
export const OUTCOMES: readonly Outcome[] = ["left", "passed-on", "nobody", "other"];

interface Said {
  outcome: string;
  outcome_zh: string;
  outcome_en: string;
  note: string;
  at: string;
  name: string;
}

export interface Recording {
  state: string;
  state_zh: string;
  state_en: string;
  reason: string;
  sha256: string;
  size: number;
  duration_ms: number;
  gone: boolean;
}

export interface Picture {
  camera: string;
  moment: "before" | "during" | "after";
  sha256: string;
  at: string;
  first_packet_at: string | null;
  gone: boolean;
}

export interface Entry {
  id: string;
  kind: "clip" | "speech" | "talk";
  clip: string | null;
  text: string;
  priority: string;
  created_at: string;
  not_after: string;
  actor: string;
  sender: string;
  approver: string;
  case: string;
  reason: string;
  /** Why it was heard in quiet hours, by whoever might say so; "" without. */
  override: string;
  open: boolean;
  targets: {
    views: { camera: string; preset: string }[];
    zones: string[];
    cells: string[];
    groups: string[];
    districts: string[];
    polygon: { latitude: number; longitude: number }[];
    circle: { centre: { latitude: number; longitude: number }; radius_m: number } | null;
    speakers: string[];
  };
  deliveries: Delivery[];
  outcome: Said | null;
  corrected: Said[];
  recording: Recording;
  pictures: Picture[];
  missing_pictures: { camera: string; moment: "before" | "after"; reason: string }[];
}

const MOST = 100;
/** Events are gathered for so long before what they tell of is read: a broadcast to a district ends with hundreds. */
const GATHERED_MS = 1000;
/** What could not be read is asked for again after so long. */
const AGAIN_MS = 5000;
/** Beyond so many broadcasts that events tell of at once, the ledger is read as a whole. */
const ONE_BY_ONE = 5;
export const entries = signal<readonly Entry[] | null>(null);
/** The broadcast that is looked at. */
export const at = signal<string | null>(null);
export const library = signal<ReadonlyMap<string, Clip>>(new Map());
/** What is asked for: the outcome ("": any, "none": nobody has said), the day from which, the case. */
const ANY = { outcome: "", from: "", case: "" };
export const wanted = signal(ANY);

/**
 * What somebody is about to say of a broadcast. It belongs to the broadcast, not to what is drawn: no event, no filter and no other view takes it.
 * `key` is the outcome that a key gave and that is not on record, or waits for its words, `turn` the number of that key;
 * `began` is the outcome on record when the writing began.
 */
interface Draft {
  words: string;
  key: Outcome | null;
  turn: number;
  began: Outcome | null;
}

const BLANK: Draft = { words: "", key: null, turn: 0, began: null };
const drafts = signal<ReadonlyMap<string, Draft>>(new Map());

/** Another one after each sign-out: what the one before asked for is shown to nobody, though its answer comes later. */
let reader = 0;

// Whoever signs in next sees nothing of what was looked at, written or asked for.
effect(() => {
  if (phase.value.at !== "signed-out") return;
  reader += 1;
  [entries.value, at.value, wanted.value, drafts.value] = [null, null, ANY, new Map()];
});

/** The query that `wanted` makes; a day begins at the reader's midnight. */
export function query(of: { outcome: string; from: string; case: string }): URLSearchParams {
  const asked = { outcome: of.outcome, from: of.from && new Date(`${of.from}T00:00:00`).toISOString(), case: of.case.trim() };
  return new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ""));
}

// -- reading ----------------------------------------------------------------------------------------------------------

/** Deeds that the gateway has not answered yet, and how many it has. */
const underway = new Set<Promise<unknown>>();
let answered = 0;
/** Reads go one after the other: none is overtaken by a later one. */
let reading: Promise<void> = Promise.resolve();

/** What `ask` gives, asked again when a deed of ours was under way meanwhile: it may be from before that deed, and must not replace its answer. */
async function latest<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    await Promise.allSettled(underway);
    const before = answered;
    const found = await ask();
    if (underway.size === 0 && answered === before) return found;
  }
}

async function page(): Promise<Entry[]> {
  return (
    await latest(() => {
      const asked = query(wanted.value);
      asked.set("limit", String(MOST));
      return get<{ items: Entry[] }>(`/v1/broadcasts?${asked}`);
    })
  ).items;
}

const one = (id: string): Promise<Entry> => latest(() => get<Entry>(`/v1/broadcasts/${encodeURIComponent(id)}`));

/** Show what `found` gives, if whoever asks now is still signed in then. */
function shown(found: () => Promise<readonly Entry[]>): () => Promise<void> {
  const asking = reader;
  return async () => {
    if (asking !== reader) return;
    const now = await found();
    if (asking === reader) entries.value = now;
  };
}

/** Read what is asked for. */
export function read(): Promise<void> {
  return (reading = reading.then(shown(page)).catch((error: Error) => tell(error.message, true)));
}

export async function readClips(): Promise<void> {
  try {
    library.value = new Map((await clips()).map((clip) => [clip.id, clip]));
  } catch (error) {
    tell(String((error as Error).message), true);
  }
}

/** Read these broadcasts anew; the whole ledger when they are many, or one of them is not in it. */
async function renew(ids: ReadonlySet<string>): Promise<void> {
  const known = new Set(entries.value?.map((each) => each.id));
  if (ids.size > ONE_BY_ONE || [...ids].some((id) => !known.has(id))) await shown(async () => withLooked(await page()))();
  else for (const id of ids) put(await one(id));
}

/** What is looked at stays where it is for as long as somebody looks, though it may be no longer what the ledger is asked for. */
async function withLooked(found: Entry[]): Promise<Entry[]> {
  const looked = entries.value?.find((each) => each.id === at.value);
  if (!looked || found.some((each) => each.id === looked.id)) return found;
  return [...found, await one(looked.id)].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at));
}

function put(after: Entry): void {
  entries.value = entries.value?.map((each) => (each.id === after.id ? after : each)) ?? null;
}

/** Keep the ledger true to what events tell while the page is open; ends with what it returns. */
export function keepUp(): () => void {
  const stirred = new Set<string>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  const later = (wait: number): void => {
    if (!closed) timer ??= setTimeout(look, wait);
  };
  const look = (): void => {
    timer = undefined;
    const ids = new Set(stirred);
    stirred.clear();
    const again = (error: unknown): void => {
      if (!unanswered(error)) return;
      ids.forEach((id) => stirred.add(id)); // no event tells of them again; the bar on top says that the gateway is away
      later(AGAIN_MS);
    };
    reading = reading.then(() => (closed ? undefined : renew(ids))).catch(again);
  };
  const stop = sounded.subscribe((told) => {
    if (told === null) return;
    stirred.add(told.id);
    later(GATHERED_MS);
  });
  return () => {
    closed = true;
    stop();
    clearTimeout(timer);
  };
}

// -- deeds ------------------------------------------------------------------------------------------------------------

/** Do something to a broadcast, at once; whether it was done. */
export async function deed(id: string, what: string, body: unknown): Promise<boolean> {
  const answer = post<Entry>(`/v1/broadcasts/${encodeURIComponent(id)}/${what}`, body);
  underway.add(answer);
  try {
    put(await answer);
    return true;
  } catch (error) {
    tell(String((error as Error).message), true);
    return false;
  } finally {
    underway.delete(answer);
    answered += 1;
  }
}

export function draft(id: string): Draft {
  return drafts.value.get(id) ?? BLANK;
}

function redraft(id: string, change: Partial<Draft>): void {
  drafts.value = new Map(drafts.value).set(id, { ...draft(id), ...change });
}

function onRecord(id: string): Outcome | null {
  const said = entries.value?.find((each) => each.id === id)?.outcome?.outcome;
  return OUTCOMES.find((known) => known === said) ?? null;
}

/** The outcome that what is written belongs to: the last key's, else the one on record when the writing began. */
export function meant(id: string): Outcome | null {
  const { words, key, began } = draft(id);
  return key ?? (words === "" ? onRecord(id) : began);
}

/** Somebody writes beside the outcome of a broadcast. */
export function write(id: string, words: string): void {
  redraft(id, draft(id).words === "" ? { words, began: onRecord(id) } : { words });
}

/** Outcomes go on record one after the other, so that the last one told is the last there. */
let recording: Promise<unknown> = Promise.resolve();
let turns = 0;

/** Put on record what came of the broadcast that is looked at, or correct it; of OTHER somebody has to say what. */
export function note(outcome: Outcome): void {
  const id = at.value;
  if (id === null || !may("broadcast:send")) return;
  const turn = ++turns;
  redraft(id, { key: outcome, turn });
  const words = draft(id).words.trim();
  if (outcome === "other" && words === "") return document.querySelector<HTMLInputElement>(".looked .note")?.focus();
  recording = recording.then(async () => {
    const done = await deed(id, "outcome", { outcome, note: words });
    if (draft(id).turn === turn) settle(id, outcome, done ? words : null);
  });
}

/** After the gateway's answer (`recorded`: what is on record with the outcome now; null: nothing), what was written meanwhile stays, for the same outcome. */
function settle(id: string, outcome: Outcome, recorded: string | null): void {
  const { words } = draft(id);
  if (words === "" || words.trim() === recorded) drafts.value = new Map([...drafts.value].filter(([each]) => each !== id));
  else if (recorded !== null) redraft(id, { key: null, began: outcome });
}

export function move(by: number): void {
  const ids = (entries.value ?? []).map((each) => each.id);
  if (ids.length === 0) return;
  const now = ids.indexOf(at.value ?? "");
  at.value = ids[now < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, now + by))]!;
  requestAnimationFrame(() => document.querySelector(".ledger tr[aria-current='true']")?.scrollIntoView({ block: "nearest" }));
}
