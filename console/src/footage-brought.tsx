// Files that a vendor's client exported, for recorders without replay: announced, sent piece by piece, and marked as not fetched by the gateway.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, get, post, Refused } from "./api";
import type { City } from "./city";
import { type Dossier, sized } from "./footage";
import { look } from "./footage-shelf";
import { t, when, worded } from "./i18n";
import { may, tell } from "./session";

interface Brought {
  id: string;
  state: string;
  name: string;
  original_name: string;
  brought_by: string;
  badge: string;
  device: string;
  client: string;
  camera: string;
  size: number;
  received: number;
  sha256: string;
  made_at: string;
}

const PIECE = 4 << 20;
const TRIES = 5;
const PAUSE_MS = 1000;
const PAUSES = 600;
const WORDS = ["brought_by", "badge", "device", "client"] as const;

/** The pieces of `size` bytes from `received` on, each as its first byte and the one behind its last. */
export function pieces(size: number, received: number): [number, number][] {
  const found: [number, number][] = [];
  for (let at = received; at < size; at += PIECE) found.push([at, Math.min(size, at + PIECE)]);
  return found;
}

/**
 * Send what the gateway does not have yet of `file`; a piece that breaks off is sent again from where it stopped, and one for which the
 * gateway has no room, with as many other files as it receives at once, a second later.
 */
export async function send(one: Pick<Brought, "id" | "received">, file: Blob, told: (received: number) => void): Promise<void> {
  const path = `/v1/brought-files/${encodeURIComponent(one.id)}`;
  let received = one.received;
  for (let tries = 0, pauses = 0; received < file.size; ) {
    const [first, end] = pieces(file.size, received)[0]!;
    const headers = { "Content-Type": "application/octet-stream", "Content-Range": `bytes ${first}-${end - 1}/${file.size}` };
    try {
      await call(`${path}/content`, { method: "PUT", headers, body: file.slice(first, end) });
      [received, tries, pauses] = [end, 0, 0];
    } catch (error) {
      if (error instanceof Refused && error.code === "overloaded" && ++pauses < PAUSES) {
        await new Promise((goOn) => setTimeout(goOn, PAUSE_MS));
        continue;
      }
      if (error instanceof Refused || ++tries >= TRIES) throw error;
      received = (await get<Brought>(path)).received;
    }
    told(received);
  }
}

export function BroughtFiles({ city, one }: { city: City; one: Dossier }) {
  const files = useSignal<readonly Brought[] | null>(null);
  const sending = useSignal<{ name: string; received: number; size: number } | null>(null);
  const path = `/v1/footage-requests/${encodeURIComponent(one.id)}/brought-files`;
  const read = async () => {
    try {
      files.value = (await get<{ items: Brought[] }>(path)).items;
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) throw error;
    }
  };
  const said = (deed: Promise<unknown>) => void deed.catch((error: Error) => tell(error.message, true)).finally(() => (sending.value = null));
  useEffect(() => said(read()), [one.id, one.custody.length]);
  if (files.value === null || !may("footage:download")) return null;
  const go = async (made: Brought, file: File) => {
    sending.value = { name: file.name, received: made.received, size: file.size };
    await send(made, file, (received) => (sending.value = { name: file.name, received, size: file.size }));
    tell(t("footage.brought.done", { name: file.name }));
    look(one.id);
    await read();
  };
  const begin = async (form: HTMLFormElement) => {
    const typed = new FormData(form);
    const file = typed.get("file");
    if (!(file instanceof File) || file.size === 0) return;
    const words = Object.fromEntries(WORDS.map((name) => [name, String(typed.get(name) ?? "").trim()]));
    const camera = String(typed.get("camera") ?? "");
    const made = await post<Brought>(path, { ...words, ...(camera && { camera }), original_name: file.name, size: file.size });
    form.reset();
    await go(made, file);
  };
  return (
    <section class="card brought">
      <h2>{t("footage.brought")}</h2>
      <p class="hint">{t("footage.brought.how")}</p>
      {files.value.map((brought) => (
        <div key={brought.id} data-brought={brought.id}>
          <b>{brought.original_name}</b> → {brought.name} <span class="chip">{worded("footage.brought.state", brought.state)}</span> {sized(brought.received)} / {sized(brought.size)}{" "}
          <span class="dim">
            {brought.brought_by} {brought.badge} · {brought.device} · {brought.client} · {when(brought.made_at)}
          </span>
          {brought.sha256 && <code>{brought.sha256}</code>}
          {brought.received < brought.size && <Resume goOn={(file) => (file.size === brought.size ? said(go(brought, file)) : tell(t("footage.brought.other"), true))} />}
        </div>
      ))}
      {sending.value === null ? (
        <details>
          <summary>{t("footage.brought.add")}</summary>
          <form
            class="filters"
            onSubmit={(event) => {
              event.preventDefault();
              said(begin(event.currentTarget));
            }}
          >
            {WORDS.map((name) => (
              <input key={name} name={name} required maxLength={200} placeholder={t(`footage.brought.${name}`)} aria-label={t(`footage.brought.${name}`)} />
            ))}
            <select name="camera" aria-label={t("footage.place.camera")}>
              <option value="">{t("footage.brought.no-camera")}</option>
              {one.cameras.map((camera) => (
                <option key={camera} value={camera}>
                  {city.devices.get(camera)?.name ?? camera}
                </option>
              ))}
            </select>
            <input name="file" type="file" required aria-label={t("footage.brought.file")} />
            <button type="submit">{t("footage.brought.send")}</button>
          </form>
        </details>
      ) : (
        <p>
          {sending.value.name} <progress value={sending.value.received} max={sending.value.size} /> {sized(sending.value.received)} / {sized(sending.value.size)}
        </p>
      )}
    </section>
  );
}

/** The same file again, to go on sending it. */
function Resume({ goOn }: { goOn: (file: File) => void }) {
  return (
    <label class="dim">
      {" "}
      {t("footage.brought.resume")}{" "}
      <input
        type="file"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) goOn(file);
        }}
      />
    </label>
  );
}
