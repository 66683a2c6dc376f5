// On a camera's page: what it sees now. Who is about to speak looks first, and what was seen then is the ledger's picture of before.
import { useSignal, useSignalEffect } from "@preact/signals";
import { call } from "./api";
import type { Device } from "./city";
import { exact, t } from "./i18n";
import { may } from "./session";

interface Picture {
  url: string;
  at: string;
}

async function take(camera: string): Promise<Picture> {
  const asked = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
  const answer = await call(`/v1/cameras/${encodeURIComponent(camera)}/captures`, asked);
  return { url: await inline(await answer.blob()), at: answer.headers.get("X-Capture-At") ?? "" };
}

/** A picture as a URL that holds it: the page's policy lets in no other that is not the gateway's. */
function inline(picture: Blob): Promise<string> {
  return new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result as string);
    reader.readAsDataURL(picture);
  });
}

/** Taken as the page opens where the camera answers and the reader may speak; every one is on record as a capture. */
export function Seen({ camera }: { camera: Device }) {
  const picture = useSignal<Picture | null>(null);
  const trouble = useSignal("");
  const busy = useSignal(false);
  const look = async () => {
    busy.value = true;
    try {
      picture.value = await take(camera.id);
      trouble.value = "";
    } catch (error) {
      trouble.value = String((error as Error).message);
    }
    busy.value = false;
  };
  useSignalEffect(() => {
    const answers = camera.standing.value.state === "up";
    if (answers && may("broadcast:send") && picture.peek() === null && !busy.peek()) void look();
  });
  return (
    <figure class="seen">
      {picture.value !== null && <img src={picture.value.url} alt={camera.name || camera.id} />}
      <figcaption>
        <span class={trouble.value === "" ? "dim" : "wrong"}>{trouble.value || (picture.value !== null && exact(picture.value.at))}</span>
        <button disabled={busy.value} onClick={() => void look()}>
          {t("seen.look")}
        </button>
      </figcaption>
    </figure>
  );
}
