// What the footage desk knows: requests as the gateway tells them, a request as it is typed, and what has to be done next about one.
import type { City, Device } from "./city";
import type { Key } from "./i18n";
import type { Point } from "./map";

export const STATES = [
  ...(["submitted", "approved", "going-ahead", "rejected", "locating", "holding", "exporting", "ready", "partial"] as const),
  ...(["unavailable", "handed-over", "viewed-nothing-found", "viewed-no-copy-taken", "expired", "cancelled", "revoked", "failed"] as const),
];
export type State = (typeof STATES)[number];
export const KINDS = ["police", "authority", "citizen"] as const;
export type RequesterKind = (typeof KINDS)[number];
export const EMERGENCIES = ["danger-to-life", "missing-person", "hot-pursuit"] as const;
export type Emergency = (typeof EMERGENCIES)[number];

export interface Period {
  start: string;
  end: string;
}

interface Person {
  name: string;
  actor: string;
}

export interface Request extends Period {
  id: string;
  state: State;
  reason: string;
  outcome: State | null;
  kind: RequesterKind;
  requester: string;
  unit: string;
  badge: string;
  second_officer: string;
  case_number: string;
  case_kind: string;
  legal_basis: string;
  authorising_document: string;
  purpose: string;
  destination: string;
  approval_letter: string;
  contact: string;
  missing: string[];
  urgency: string;
  emergency: Emergency | null;
  papers_due_at: string | null;
  papers_at: string | null;
  owing: boolean;
  tolerance_s: number;
  cameras: string[];
  /** What is wanted of each camera: along a route the time moves. */
  windows: (Period & { camera: string })[];
  submitted_by: Person;
  submitted_at: string;
  decided_by: Person | null;
  decided_at: string | null;
  note: string;
  ready_at: string | null;
}

export interface Coverage {
  camera: string;
  recorder: string;
  state: "pending" | "exporting" | "done" | "partial" | "nothing" | "failed";
  reason: string;
  clock_offset_s: number | null;
  recorded: Period[];
  obtained: Period[];
  gaps: Period[];
}

export interface File extends Period {
  name: string;
  camera: string;
  source: "recorder" | "card";
  sound_left_out: string;
  sound_refused: string;
  set_backs: number;
  time_source: "device" | "reckoned" | "unknown";
  sha256: string;
  size: number;
  frames: number;
  damaged: number;
  downloads: number;
  removed: boolean;
}

/** A file of the package that the gateway did not fetch. */
export interface BroughtFile {
  name: string;
  original_name: string;
  sha256: string;
  size: number;
  downloads: number;
  removed: boolean;
}

/** When something that is stored for a request, a document by its id, was read again by itself, and what was found: nothing, or what is wrong, in the gateway's English. */
export interface Check {
  name: string;
  checked_at: string;
  found: string;
}

export interface Custody {
  number: number;
  step: string;
  by: Person;
  at: string;
  detail: Record<string, unknown>;
}

/** How far the fetching of one camera's footage is at this moment. */
export interface Progress {
  camera: string;
  done_s: number;
  whole_s: number;
  size: number;
  bytes_per_s: number | null;
  left_s: number | null;
}

export interface Dossier extends Request {
  progress: Progress[];
  coverage: Coverage[];
  files: File[];
  brought: BroughtFile[];
  checks: Check[];
  custody: Custody[];
}

export interface Register {
  case_kinds: Record<string, string>;
  legal_bases: Record<string, string>;
  case_kinds_en: Record<string, string>;
  legal_bases_en: Record<string, string>;
}

export type List = "case_kinds" | "legal_bases";

/** The wordings of a list in a language; of no list while the register is not there. */
export const wordings = (register: Register | null, list: List, language: "zh" | "en"): Record<string, string> => register?.[language === "en" ? (`${list}_en` as const) : list] ?? {};

// -- what is to be done -----------------------------------------------------------------------------------------------

const WORKING: readonly State[] = ["approved", "going-ahead", "locating", "holding", "exporting"];
const HAS_FILES: readonly State[] = ["ready", "partial", "handed-over"];
const UNDECIDED: readonly State[] = ["submitted", "rejected", "revoked"];
export const working = (state: State): boolean => WORKING.includes(state);
export const deliverable = (state: State): boolean => HAS_FILES.includes(state);

/** Whether there is anything to give: what was fetched, or what somebody brought. */
export const packed = (one: Pick<Dossier, "files" | "brought">): boolean => one.files.length + one.brought.length > 0;

/** Whether pictures of it may be looked at: somebody let it go ahead, and it is not over. */
export const looked = (state: State): boolean => working(state) || deliverable(state);

/** Whether nothing may be added to a request's register any more. */
export const over = (state: State): boolean => ["rejected", "revoked", "cancelled", "expired"].includes(state);

/** Whether a file that the gateway did not fetch may be brought for a request in this state. */
export const bringable = (state: State): boolean => ["failed", "unavailable", "partial", "ready"].includes(state);

/** Whether it makes sense to hold footage for a request in this state. */
export const held = (state: State): boolean => !over(state);

export const STEPS = ["approve", "reject", "confirm", "revoke", "hand-over", "close-nothing-found", "close-no-copy", "retry", "give-up", "cancel"] as const;
export type Step = (typeof STEPS)[number];
/** Steps that need a word: why, or to whom. */
export const WORDY: readonly Step[] = ["reject", "revoke", "give-up", "hand-over"];
type Standing = Pick<Request, "state" | "kind" | "emergency" | "decided_by">;

/** An emergency that no second person has confirmed: it is looked at here, and no copy leaves. */
export function unconfirmed(one: Pick<Request, "emergency" | "decided_by">): boolean {
  return one.emergency !== null && one.decided_by === null;
}

/**
 * What a reader with these permissions may do with a request as it stands. Who filed it disposes of it, or who may approve; nobody who
 * filed it decides on it.
 */
export function steps(one: Standing, allowed: (permission: string) => boolean, filed: boolean): Step[] {
  const { state } = one;
  const there = state === "ready" || state === "partial";
  const confirmable = unconfirmed(one) && !UNDECIDED.includes(state);
  const possible: Record<Step, boolean> = {
    approve: state === "submitted",
    reject: state === "submitted",
    confirm: confirmable,
    revoke: one.emergency !== null && !UNDECIDED.includes(state),
    "hand-over": there && one.kind !== "citizen" && !confirmable,
    "close-nothing-found": there,
    "close-no-copy": there,
    retry: ["failed", "partial", "unavailable"].includes(state),
    "give-up": state === "failed",
    cancel: ["submitted", "failed", ...WORKING].includes(state),
  };
  const disposes = filed || allowed("footage:approve");
  return STEPS.filter((step) => possible[step] && allowed(needed(step)) && (needed(step) === "footage:approve" ? !filed : disposes));
}

function needed(step: Step): string {
  if (["approve", "reject", "confirm", "revoke"].includes(step)) return "footage:approve";
  return step === "hand-over" || step.startsWith("close") ? "footage:download" : "footage:request";
}

/** Whether footage of it has left: by a download, a link or a sending. A sealed medium is a hand-over by itself. */
export function copied(one: Pick<Dossier, "files" | "brought" | "custody">): boolean {
  return [...one.files, ...one.brought].some((file) => file.downloads > 0) || one.custody.some((entry) => ["linked", "sent"].includes(entry.step));
}

/** Where and with what a step is asked for; `note` is what was written beside it. */
export function asked(step: Step, note: string): { what: string; body: unknown } {
  if (step === "retry") return { what: step, body: undefined };
  if (step === "hand-over") return { what: step, body: { receiver: note } };
  if (step.startsWith("close")) return { what: "close", body: { found_something: step === "close-no-copy", note } };
  return { what: step, body: { note } };
}

/** Whether it waits for this very reader. */
export function waits(one: Standing, allowed: (permission: string) => boolean, filed: boolean): boolean {
  return steps(one, allowed, filed).some((step) => ["approve", "confirm", "hand-over", "close-no-copy"].includes(step) || (step === "retry" && one.state === "failed"));
}

/** Why a reader whose permissions would do may not do anything about it; null where there is no such reason. */
export function barred(one: Standing, allowed: (permission: string) => boolean, filed: boolean): Key | null {
  if (steps(one, allowed, filed).length > 0) return null;
  if (steps(one, allowed, !filed).length === 0) return null;
  return filed ? "footage.barred.own" : "footage.barred.theirs";
}

/** What somebody has to do next, in a word. */
export function nextOf(one: Standing & Pick<Request, "owing" | "missing">, allowed: (permission: string) => boolean, filed: boolean): Key {
  const { state } = one;
  if (state === "submitted") return allowed("footage:approve") && !filed ? "footage.next.decide" : "footage.next.decision";
  if (one.owing && one.decided_by === null) return allowed("footage:approve") && !filed ? "footage.next.confirm" : "footage.next.confirmation";
  if (working(state)) return "footage.next.wait";
  if ((state === "ready" || state === "partial") && one.kind === "citizen") return "footage.next.view";
  if ((state === "ready" || state === "partial") && one.missing.length > 0 && !one.owing) return filed ? "footage.next.complete" : "footage.next.completed";
  if (state === "ready" || state === "partial") return allowed("footage:download") && filed ? "footage.next.fetch" : "footage.next.fetched";
  if (one.owing) return "footage.next.papers";
  return state === "failed" ? "footage.next.retry" : "footage.next.nothing";
}

// -- a request as it is typed -----------------------------------------------------------------------------------------

export type PlaceKind = "camera" | "group" | "cell";

export const DIRECTIONS = ["either", "forward", "backward"] as const;
export type Direction = (typeof DIRECTIONS)[number];

export interface Place {
  kind: PlaceKind;
  id: string;
  name: string;
}

/** What is typed. `start` is the reader's own time, as a box for date and time has it; `minutes` is text until it is sent. */
export interface Draft {
  kind: RequesterKind;
  emergency: Emergency | "";
  tolerance: string;
  contact: string;
  requester: string;
  unit: string;
  badge: string;
  second_officer: string;
  case_number: string;
  authorising_document: string;
  places: readonly Place[];
  circle: { centre: Point; radius_m: number } | null;
  /** Corners of a way that somebody took, and how fast they may have gone; one corner is none yet. */
  route: readonly Point[];
  direction: Direction;
  slowest: string;
  fastest: string;
  start: string;
  minutes: string;
  case_kind: string;
  legal_basis: string;
  approval_letter: string;
  purpose: string;
  destination: string;
  urgent: boolean;
}

export type Word = "requester" | "badge" | "second_officer" | "unit" | "case_number" | "authorising_document" | "purpose" | "contact" | "destination" | "approval_letter";
const OFFICIAL: readonly Word[] = ["requester", "badge", "second_officer", "unit", "case_number", "authorising_document"];
/** What is asked of whom in the short form. */
export const WORDS: Record<RequesterKind, readonly Word[]> = { police: OFFICIAL, authority: OFFICIAL, citizen: ["requester", "badge", "contact", "purpose"] };
/** What may be left empty there; before anything is handed over the second officer has to be known. */
export const OPTIONAL: readonly Word[] = ["second_officer", "contact"];
/** What stands behind "more": it has something sensible in it, or may stay empty. */
export const MORE: readonly Word[] = ["purpose", "destination", "approval_letter", "contact"];
export type Field = Word | "kind" | "emergency" | "urgent" | "case_kind" | "legal_basis" | "tolerance" | "places" | "start" | "minutes";
export const BEHIND: readonly Field[] = [...MORE, "case_kind", "legal_basis", "tolerance", "urgent"];
const ALL: readonly Word[] = [...OFFICIAL, ...MORE];

const MINUTE = 60_000;
const AGO = 20; // minutes before now at which a fresh request begins
const LENGTH = "10";

/** A fresh request: ten minutes that ended a little while ago, and what the desk wrote last of what seldom changes. */
export function blank(now: Date, last: Partial<Draft>, register: Register): Draft {
  const begun = new Date(Math.floor((now.getTime() - AGO * MINUTE) / (5 * MINUTE)) * 5 * MINUTE);
  const known = (code: string | undefined, list: Record<string, string>) => (code !== undefined && code in list ? code : (Object.keys(list)[0] ?? ""));
  return {
    ...{ kind: "police" as const, emergency: "" as const, tolerance: "", contact: "" },
    ...{ requester: "", badge: "", second_officer: "", case_number: "", authorising_document: "", approval_letter: "", purpose: "", destination: "" },
    ...{ unit: last.unit ?? "", places: [], circle: null, route: [], direction: "either" as const, slowest: "3", fastest: "30", start: inBox(begun), minutes: LENGTH, urgent: false },
    ...{ case_kind: known(last.case_kind, register.case_kinds), legal_basis: known(last.legal_basis, register.legal_bases) },
  };
}

/** A moment as a box for date and time wants it, in the reader's own zone. */
export function inBox(at: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** From when to when, or null while that is not yet readable. */
export function windowOf(draft: Pick<Draft, "start" | "minutes">): Period | null {
  const start = new Date(draft.start).getTime();
  const minutes = Number(draft.minutes);
  if (!Number.isFinite(start) || draft.minutes.trim() === "" || !(minutes > 0) || minutes > 1e6) return null;
  return { start: new Date(start).toISOString(), end: new Date(start + Math.round(minutes * MINUTE)).toISOString() };
}

const KEPT_MS = 366 * 86_400_000; // recorders keep weeks or months

/** Whether a period lies so far back that hardly any recorder can have it: a slip of the year, as a rule. */
export const longAgo = (period: Period, now: number): boolean => now - Date.parse(period.end) > KEPT_MS;

/** What is plainly missing or wrong, each at its field, before the gateway is asked. */
export function faultsOf(draft: Draft, now: Date): Map<Field, Key> {
  const faults = new Map<Field, Key>();
  const may = (name: Word) => OPTIONAL.includes(name) || (draft.emergency !== "" && name === "authorising_document");
  for (const name of WORDS[draft.kind]) if (draft[name].trim() === "" && !may(name)) faults.set(name, "footage.fault.missing");
  const folded = (name: string) => name.replace(/\s/g, "").toLowerCase();
  if (draft.requester.trim() !== "" && folded(draft.requester) === folded(draft.second_officer)) faults.set("second_officer", "footage.fault.same");
  if (draft.places.length === 0 && draft.circle === null && draft.route.length < 2) faults.set("places", "footage.fault.place");
  const window = windowOf(draft);
  if (!Number.isFinite(new Date(draft.start).getTime())) faults.set("start", "footage.fault.time");
  else if (window === null) faults.set("minutes", "footage.fault.minutes");
  else if (Date.parse(window.end) > now.getTime()) faults.set("minutes", "footage.fault.future");
  if (draft.tolerance.trim() !== "" && !(Number(draft.tolerance) >= 0)) faults.set("tolerance", "footage.fault.minutes");
  return faults;
}

/** The body of the request. What seldom changes says itself when it was left empty: the purpose is the kind of case, it goes to the unit. */
export function bodyOf(draft: Draft, register: Register): Record<string, unknown> {
  const citizen = draft.kind === "citizen";
  const given = citizen ? WORDS.citizen : ALL;
  const words = Object.fromEntries(given.map((name) => [name, draft[name].trim()]));
  return {
    ...words,
    kind: draft.kind,
    ...(!citizen && {
      ...{ case_kind: draft.case_kind, legal_basis: draft.legal_basis },
      purpose: draft.purpose.trim() || (register.case_kinds[draft.case_kind] ?? draft.case_kind),
      destination: draft.destination.trim() || draft.unit.trim(),
    }),
    urgency: draft.urgent || draft.emergency !== "" ? "urgent" : "normal",
    ...(draft.emergency !== "" && { emergency: draft.emergency }),
    ...placeOf(draft),
  };
}

/** Where and when, as the gateway wants it; null while one of them is not yet named. */
export function placeOf(draft: Draft): Record<string, unknown> | null {
  const window = windowOf(draft);
  const named = (kind: PlaceKind) => draft.places.filter((place) => place.kind === kind).map((place) => place.id);
  const way = draft.route.length >= 2;
  if (window === null || (draft.places.length === 0 && draft.circle === null && !way)) return null;
  const speeds = { slowest_kmh: Number(draft.slowest) || 3, fastest_kmh: Number(draft.fastest) || 30 };
  return {
    ...{ cameras: named("camera"), groups: named("group"), cells: named("cell") },
    ...(draft.circle && { circle: draft.circle }),
    ...(way && { route: { points: draft.route, direction: draft.direction, ...speeds } }),
    ...(Number(draft.tolerance) > 0 && { tolerance_s: Math.round(Number(draft.tolerance) * 60) }),
    ...window,
  };
}

/** The field at which a fault of the gateway's is shown; null for one that none of them has. */
export function fieldOf(pointer: string): Field | null {
  const name = pointer.split("/")[1] ?? "";
  const others: Record<string, Field> = { cameras: "places", groups: "places", cells: "places", circle: "places", route: "places", address: "places", end: "minutes", urgency: "urgent", tolerance_s: "tolerance" };
  if (name in others) return others[name]!;
  const own: readonly string[] = ["start", "kind", "emergency", "case_kind", "legal_basis", ...ALL];
  return own.includes(name) ? (name as Field) : null;
}

// -- where ------------------------------------------------------------------------------------------------------------

const HITS = 12;

/** Groups, cameras and cells that have all these words somewhere in their names; those that are called exactly so first. */
export function hits(city: City, words: string): Place[] {
  const needles = words.trim().toLowerCase().split(/\s+/).filter(Boolean);
  if (needles.length === 0) return [];
  const fits = (...texts: string[]) => needles.every((needle) => texts.some((text) => text.toLowerCase().includes(needle)));
  const found: Place[] = [];
  const cells = new Set<string>();
  for (const group of city.groups.values()) {
    if (fits(group.id, group.name, group.street, group.district)) found.push({ kind: "group", id: group.id, name: group.name });
    if (group.cell !== null) cells.add(group.cell);
  }
  for (const device of city.devices.values()) {
    if (device.kind === "camera" && fits(device.id, device.name)) found.push({ kind: "camera", id: device.id, name: device.name || device.id });
    if (device.cell !== null) cells.add(device.cell);
  }
  for (const cell of cells) if (fits(cell)) found.push({ kind: "cell", id: cell, name: cell });
  const exact = (place: Place) => Number(![place.id, place.name].some((text) => text.toLowerCase() === words.trim().toLowerCase()));
  return found.sort((a, b) => exact(a) - exact(b)).slice(0, HITS);
}

/** The cameras of the places, each once. */
export function camerasIn(city: City, places: readonly Place[]): Device[] {
  const within = (kind: PlaceKind) => new Set(places.filter((place) => place.kind === kind).map((place) => place.id));
  const [cameras, groups, cells] = [within("camera"), within("group"), within("cell")];
  const all = [...city.devices.values()].filter((device) => device.kind === "camera");
  return all.filter((one) => cameras.has(one.id) || groups.has(one.group ?? "") || cells.has(one.cell ?? ""));
}

// -- what there is of it ----------------------------------------------------------------------------------------------

/** Where a period lies in a window, in hundredths of it; null outside. */
export function barOf(window: Period, period: Period): { left: number; width: number } | null {
  const [from, to] = [Date.parse(window.start), Date.parse(window.end)];
  const [start, end] = [Math.max(from, Date.parse(period.start)), Math.min(to, Date.parse(period.end))];
  return end > start && to > from ? { left: (100 * (start - from)) / (to - from), width: (100 * (end - start)) / (to - from) } : null;
}

/** What is wanted of a camera. */
export const wantedOf = (one: Pick<Request, "start" | "end" | "windows">, camera: string): Period => one.windows.find((window) => window.camera === camera) ?? one;

/** How much of all cameras' windows is on the disk, from 0 to 1: what was found missing counts as done with. */
export function progressOf(dossier: Pick<Dossier, "start" | "end" | "progress" | "coverage" | "files">): number {
  if (dossier.coverage.length === 0) return 0;
  const share = (periods: readonly Period[]) => periods.reduce((sum, period) => sum + (barOf(dossier, period)?.width ?? 0), 0) / 100;
  const done = dossier.coverage.map((one) => {
    if (one.state !== "pending" && one.state !== "exporting") return 1;
    const now = dossier.progress.find((found) => found.camera === one.camera);
    if (now !== undefined && now.whole_s > 0) return Math.min(1, now.done_s / now.whole_s);
    const wanted = share(one.recorded) || 1;
    return Math.min(1, share(dossier.files.filter((file) => file.camera === one.camera)) / wanted);
  });
  return done.reduce((sum, one) => sum + one, 0) / done.length;
}

/** How long the slowest that is under way will take, in seconds; null while nobody knows. */
export function leftOf(progress: readonly Pick<Progress, "left_s">[]): number | null {
  const known = progress.flatMap((one) => (one.left_s === null ? [] : [one.left_s]));
  return known.length > 0 ? Math.max(...known) : null;
}

/** Which camera's footage is lost first, and how soon; null when nobody can tell of any. */
export function soonest(items: readonly { camera: string; overwrite: { left_s: number | null } | null }[]): { camera: string; left_s: number } | null {
  const known = items.flatMap((one) => (one.overwrite?.left_s != null ? [{ camera: one.camera, left_s: one.overwrite.left_s }] : []));
  return known.sort((a, b) => a.left_s - b.left_s)[0] ?? null;
}

/** 1536 → 1.5 KiB. */
export function sized(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

export const lengthOf = (period: Period): number => (Date.parse(period.end) - Date.parse(period.start)) / 1000;
