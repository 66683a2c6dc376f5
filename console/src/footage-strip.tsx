// A strip of small pictures over the window: which minute is the right one, seen at a glance by who may have the footage; each look is on record.
import { useSignal } from "@preact/signals";
import { get } from "./api";
import type { Dossier } from "./footage";
import { exact, reason, self, t, when } from "./i18n";
import { may, tell } from "./session";

interface Still {
  at: string;
  taken_at: string | null;
  jpeg: string;
  reason: string;
}

const PICTURES = 12;

export function Strip({ one, camera }: { one: Dossier; camera: string }) {
  const stills = useSignal<readonly Still[] | null>(null);
  const busy = useSignal(false);
  const mine = one.submitted_by.actor === self.value.actor && may("footage:download");
  if (!mine) return null;
  const look = async () => {
    busy.value = true;
    try {
      const asked = new URLSearchParams({ camera, pictures: String(PICTURES) });
      stills.value = (await get<{ items: Still[] }>(`/v1/footage-requests/${encodeURIComponent(one.id)}/strip?${asked}`)).items;
    } catch (error) {
      tell((error as Error).message, true);
    }
    busy.value = false;
  };
  if (stills.value === null)
    return (
      <button class="look" disabled={busy.value} onClick={() => void look()}>
        {t(busy.value ? "footage.strip.busy" : "footage.strip")}
      </button>
    );
  return (
    <div class="strip">
      {stills.value.map((still) => (
        <figure key={still.at} title={exact(still.taken_at ?? still.at)}>
          {still.jpeg !== "" ? <img src={`data:image/jpeg;base64,${still.jpeg}`} alt={exact(still.taken_at ?? still.at)} /> : <span class="dim">{reason(still.reason)}</span>}
          <figcaption>{when(still.taken_at ?? still.at)}</figcaption>
        </figure>
      ))}
    </div>
  );
}
