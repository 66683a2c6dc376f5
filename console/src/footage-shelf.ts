// The footage desk's state and what it asks of the gateway: the list, the request that is looked at, the one that is typed.
import { computed, effect, signal } from "@preact/signals";
import { freshKey, get, post, postOnce, Refused } from "./api";
import { faulty, language, self, t } from "./i18n";
import { asked, bodyOf, blank, type Dossier, type Draft, type Field, faultsOf, fieldOf, type List, type Register, type Request, type Step, waits, wordings, working } from "./footage";
import { may, phase, tell, touched } from "./session";

const MOST = 50;
const LAST = "footage.last";
const LOOK_MS = 2000; // how often a request is read anew while the gateway works on it

export const requests = signal<readonly Request[] | null>(null);
const following = signal<string | null>(null);
export const more = computed(() => following.value !== null);
/** What is asked for: a state ("": any), words that stand somewhere in it, and whether only what owes its papers. */
const ANY = { state: "", q: "", owing: "" };
export const wanted = signal(ANY);
export const at = signal<string | null>(null);
export const dossier = signal<Dossier | null>(null);
export const register = signal<Register | null>(null);
/** What is typed, null while nothing is; it stays while the reader looks at something else. */
export const draft = signal<Draft | null>(null);
/** Whether it is in sight. */
export const filing = signal(false);
/** What is wrong with it, at its field; "" is for what has no field. */
export const faults = signal<ReadonlyMap<Field | "", string>>(new Map());
/** How many requests wait for this very reader. */
export const waiting = computed(() => (requests.value ?? []).filter((one) => waits(one, may, mine(one))).length);
/** Whether the figures of the desk are in sight. */
export const counting = signal(false);

/** Whether the reader filed it. */
export function mine(one: Pick<Request, "submitted_by">): boolean {
  return one.submitted_by.actor === self.value.actor;
}

const path = (id: string, rest = "") => `/v1/footage-requests/${encodeURIComponent(id)}${rest}`;

async function page(cursor: string | null): Promise<{ items: Request[]; next: string | null }> {
  const asked = Object.entries({ ...wanted.value, limit: String(MOST), cursor: cursor ?? "" }).map(([name, value]) => [name, value.trim()]);
  return get(`/v1/footage-requests?${new URLSearchParams(asked.filter(([, value]) => value !== "") as [string, string][])}`);
}

async function said(deed: () => Promise<void>): Promise<boolean> {
  try {
    await deed();
    return true;
  } catch (error) {
    tell(String((error as Error).message), true);
    return false;
  }
}

export const read = (): Promise<boolean> =>
  said(async () => {
    const asked = wanted.value;
    const found = await page(null);
    if (asked !== wanted.value) return;
    requests.value = found.items;
    following.value = found.next;
  });

export const readMore = (): Promise<boolean> =>
  said(async () => {
    const found = await page(following.value);
    requests.value = [...(requests.value ?? []), ...found.items];
    following.value = found.next;
  });

export function look(id: string | null): void {
  at.value = id;
  filing.value = counting.value = false;
  if (dossier.value?.id !== id) dossier.value = null;
  if (id !== null) void said(() => readDossier(id));
}

async function readDossier(id: string): Promise<void> {
  const found = await get<Dossier>(path(id));
  if (at.value === id) dossier.value = found;
  put(found);
}

function put(found: Request): void {
  requests.value = (requests.value ?? []).map((one) => (one.id === found.id ? found : one));
}

/** Do something to a request, and look at what came of it. */
export async function act(id: string, step: Step, note: string): Promise<boolean> {
  return said(async () => {
    const { what, body } = asked(step, note);
    put(await postOnce<Request>(path(id, `/${what}`), body));
    await readDossier(id);
  });
}

/** What a code of a maintained list is called in the reader's language; a code that is in none by itself. */
export const listed = (list: List, code: string): string => wordings(register.value, list, language.value)[code] ?? code;

/** The maintained lists, asked for once. */
export async function readRegister(): Promise<boolean> {
  if (register.value !== null) return true;
  return said(async () => {
    register.value = await get<Register>("/v1/footage-register");
  });
}

// -- filing -----------------------------------------------------------------------------------------------------------

let key = "";

/** Begin a request, or go on with the one that was begun. */
export async function begin(): Promise<void> {
  if (!may("footage:request")) return;
  if (!(await readRegister())) return;
  const known = register.value!;
  if (draft.value === null) {
    draft.value = blank(new Date(), JSON.parse(localStorage.getItem(LAST) ?? "{}") as Partial<Draft>, known);
    key = freshKey();
  }
  look(null);
  filing.value = true;
}

/** Throw away what was typed. */
export function forget(): void {
  filing.value = false;
  draft.value = null;
  faults.value = new Map();
}

export function type(change: Partial<Draft>): void {
  if (draft.value === null) return;
  draft.value = { ...draft.value, ...change };
  const left = new Map(faults.value);
  for (const name of Object.keys(change)) left.delete(["circle", "route"].includes(name) ? "places" : (name as Field));
  faults.value = left;
}

/** Hand the request in; what is wrong with it stands at its field afterwards. */
export async function file(): Promise<boolean> {
  const [typed, known] = [draft.value, register.value];
  if (typed === null || known === null) return false;
  faults.value = new Map([...faultsOf(typed, new Date())].map(([name, fault]) => [name, t(fault)]));
  if (faults.value.size > 0) return false;
  try {
    const filed = await post<Request>("/v1/footage-requests", bodyOf(typed, known), { "Idempotency-Key": key });
    localStorage.setItem(LAST, JSON.stringify({ unit: typed.unit, case_kind: typed.case_kind, legal_basis: typed.legal_basis }));
    forget();
    tell(t(typed.emergency === "" ? "footage.filed" : "footage.filed.emergency", { id: filed.id }));
    await read();
    look(filed.id);
    return true;
  } catch (error) {
    faults.value = toldBy(error as Error);
    key += "+"; // what is sent next is another request than the one that was refused
    return false;
  }
}

export function toldBy(error: Error): Map<Field | "", string> {
  const found = new Map<Field | "", string>();
  for (const fault of error instanceof Refused ? error.faults : []) {
    const field = fieldOf(fault.pointer) ?? "";
    found.set(field, [found.get(field), field === "" ? `${fault.pointer} ${faulty(fault)}` : faulty(fault)].filter(Boolean).join("; "));
  }
  return found.size > 0 ? found : new Map([["", error.message]]);
}

// Whoever signs in next sees nothing of what was typed, asked for or looked at.
effect(() => {
  if (phase.value.at !== "signed-out") return;
  forget();
  [requests.value, following.value, dossier.value, at.value] = [null, null, null, null];
  [wanted.value, counting.value] = [ANY, false];
});

// -- keeping up -------------------------------------------------------------------------------------------------------

/** Keep the list and the request that is looked at true while the page is open; ends with what it returns. */
export function keepUp(): () => void {
  void read();
  const stop = touched.subscribe((touch) => {
    if (touch === null) return;
    if (at.value === touch.id) void readDossier(touch.id).catch(() => undefined);
    else void read();
  });
  const timer = setInterval(() => {
    const now = dossier.value;
    if (now !== null && working(now.state) && !document.hidden) void readDossier(now.id).catch(() => undefined);
  }, LOOK_MS);
  return () => {
    stop();
    clearInterval(timer);
  };
}

export function move(by: number): void {
  const ids = (requests.value ?? []).map((one) => one.id);
  if (ids.length === 0) return;
  const now = ids.indexOf(at.value ?? "");
  look(ids[now < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, now + by))]!);
  requestAnimationFrame(() => document.querySelector(".request[aria-current='true']")?.scrollIntoView({ block: "nearest" }));
}
