// What the console asks of the gateway to be heard in the street: who would speak, say this, what became of it, silence all.
import { freshKey, gatewayNow, get, post } from "./api";
import type { City } from "./city";
import { language, t } from "./i18n";

export type Place = { camera: string } | { speaker: string };

export interface Choice {
  speaker: string;
  name: string;
  chosen: boolean;
  reason: string;
  state: string;
  view: { bond: string; distance_m: number | null; preset: string | null } | null;
}

export interface Delivery {
  speaker: string;
  state: string;
  since: string;
  reason: string;
  detail: string;
  remarks: Remark[];
  may_still_sound: boolean;
  packets: number;
  dropped: number;
  /** As the loudspeaker itself reports; null where it reports nothing. */
  lost: number | null;
  first_packet_at: string | null;
  last_packet_at: string | null;
  /** Of a clip that the loudspeaker plays by itself: when it was told to play and to be silent, and when it answered. */
  clip_asked_at: string | null;
  clip_confirmed_at: string | null;
  clip_stop_asked_at: string | null;
  clip_silent_at: string | null;
}

/** What is to be known of a delivery, however it ended. */
export interface Remark {
  remark: string;
  remark_zh: string;
  remark_en: string;
}

/** The remarks on a delivery in the reader's language; those of the gateway's first months stand in `detail`. */
export function remarked({ reason, detail, remarks }: Pick<Delivery, "reason" | "detail" | "remarks">): string {
  const said = [...remarks.map((one) => one[`remark_${language.value}`]), reason === "" ? detail : ""].filter(Boolean);
  return said.length > 0 ? t("delivery.remark", { words: said.join(t("delivery.and")) }) : "";
}

export interface Broadcast {
  id: string;
  open: boolean;
  deliveries: Delivery[];
}

export interface Clip {
  id: string;
  name: string;
  name_en?: string;
  duration_ms: number;
  created_at: string;
}

export interface SayOrder {
  targets: { views: { camera: string; preset?: string }[] } | { speakers: string[] };
  case?: string;
  reason?: string;
  override?: string;
  again?: true;
  /** Without it a voice is a talk, all else enforcement. */
  priority?: "emergency";
}

export type Said = { text: string } | { clip: string };

const WITHIN_MS = 20_000;
const LOOK_MS = 300;

/** The loudspeakers beside what a camera sees in a preset ("": wherever it looks), the nearest first, and which would speak with that priority. */
export async function beside(camera: string, preset: string, priority: "talk" | "emergency"): Promise<Choice[]> {
  const asked = new URLSearchParams({ priority, preset });
  return (await get<{ items: Choice[] }>(`/v1/cameras/${encodeURIComponent(camera)}/speakers?${asked}`)).items;
}

export async function clips(): Promise<Clip[]> {
  return (await get<{ items: Clip[] }>("/v1/clips?limit=1000")).items;
}

/** Clips as somebody looks for them: by name, those of one name by age, which their ids do not tell. */
export function byName(found: readonly Clip[]): Clip[] {
  return [...found].sort((a, b) => a.name.localeCompare(b.name, "zh") || Date.parse(a.created_at) - Date.parse(b.created_at));
}

/** Have a text or a clip heard, soon or not at all. */
export async function say(order: SayOrder, what: Said): Promise<Broadcast> {
  const not_after = new Date(gatewayNow() + WITHIN_MS).toISOString();
  return post<Broadcast>("/v1/broadcasts", { priority: "enforcement", ...order, ...what, not_after, id: `console-${freshKey()}` });
}

/** Silence one broadcast, now; those of others sound on. */
export async function silence(id: string): Promise<Broadcast> {
  return post<Broadcast>(`/v1/broadcasts/${encodeURIComponent(id)}/cancel`, undefined);
}

/** Tell how a broadcast goes until it has ended, or nobody wants to know. */
export async function watch(id: string, tell: (broadcast: Broadcast) => boolean): Promise<void> {
  for (;;) {
    const now = await get<Broadcast>(`/v1/broadcasts/${encodeURIComponent(id)}`);
    if (!tell(now) || !now.open) return;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}

/** Silence every loudspeaker of the city, now. */
export async function stopAll(): Promise<{ broadcasts: number; speakers: number; may_still_sound: string[] }> {
  return post("/v1/broadcasts/stop-all", undefined);
}

/** What is said when STOP ALL has silenced all. */
export const silenced = (broadcasts: number, speakers: number): string => t("stop-all.done", { broadcasts: t("n.broadcast", { n: broadcasts }), speakers: t("n.speaker", { n: speakers }) });

/** What is said of loudspeakers that STOP ALL could not silence yet, by their names. */
export function unsilenced(city: City, speakers: readonly string[]): string {
  return t("stop-all.not", { n: speakers.length, speakers: speakers.map((speaker) => city.named(speaker)).join(t("list.comma")) });
}
