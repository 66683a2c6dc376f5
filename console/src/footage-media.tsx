// Footage that leaves on a sealed medium: what it is, who takes it against which printed hash, and the signed sheet that comes back as a scan.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, get, postOnce } from "./api";
import { deliverable, type Dossier, unconfirmed } from "./footage";
import { look, mine } from "./footage-shelf";
import { exact, t, worded } from "./i18n";
import { may, tell } from "./session";

const MEDIA = ["optical-disc", "usb-stick", "hard-disk"] as const;
const SCANS = "application/pdf,image/jpeg,image/png";

interface Delivery {
  id: string;
  way: string;
  medium: string | null;
  number: string;
  seal: string;
  receiver: string;
  second_officer: string;
  manifest_sha256: string;
  at: string;
  signed_sheet: { at: string } | null;
}

export function Media({ one }: { one: Dossier }) {
  const given = useSignal<readonly Delivery[]>([]);
  const path = `/v1/footage-requests/${encodeURIComponent(one.id)}/deliveries`;
  const read = () => get<{ items: Delivery[] }>(path).then((found) => (given.value = found.items.filter((delivery) => delivery.way === "medium")));
  const said = (deed: Promise<unknown>) => void deed.catch((error: Error) => tell(error.message, true));
  useEffect(() => said(read()), [one.id, one.custody.length]);
  const giving = mine(one) && may("footage:download") && deliverable(one.state) && one.kind !== "citizen" && !unconfirmed(one) && one.missing.length === 0;
  if (!giving && given.value.length === 0) return null;
  const hand = async (form: HTMLFormElement) => {
    const words = [...new FormData(form)].map(([name, value]) => [name, String(value).trim()]);
    await postOnce(path, Object.fromEntries(words));
    form.reset();
    look(one.id);
    await read();
  };
  const attach = async (delivery: Delivery, box: HTMLInputElement) => {
    const file = box.files?.[0];
    if (file === undefined) return;
    const url = `/v1/footage-deliveries/${encodeURIComponent(delivery.id)}/signed-sheet?${new URLSearchParams({ name: file.name })}`;
    await call(url, { method: "POST", headers: { "Content-Type": file.type || "application/octet-stream" }, body: file });
    look(one.id);
    await read();
  };
  return (
    <section class="card media">
      <h2>{t("footage.media")}</h2>
      <p class="hint">{t("footage.media.how")}</p>
      <ul>
        {given.value.map((delivery) => (
          <li key={delivery.id} data-delivery={delivery.id}>
            <b>{worded("footage.medium", delivery.medium ?? "")}</b> {delivery.number} · {t("footage.media.seal")} {delivery.seal} → {delivery.receiver}, {delivery.second_officer}{" "}
            <span class="dim">{exact(delivery.at)}</span> <code title="manifest.json, SHA-256">{delivery.manifest_sha256}</code>{" "}
            {delivery.signed_sheet !== null ? (
              <span class="chip resolved">{t("footage.media.signed", { at: exact(delivery.signed_sheet.at) })}</span>
            ) : (
              <>
                <span class="chip hot">{t("footage.media.owed")}</span>{" "}
                {may("footage:download") && (
                  <label class="chosen-one">
                    {t("footage.media.attach")} <input type="file" accept={SCANS} onChange={(event) => said(attach(delivery, event.currentTarget))} />
                  </label>
                )}
              </>
            )}
          </li>
        ))}
      </ul>
      {giving && (
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            said(hand(event.currentTarget));
          }}
        >
          <select name="medium" aria-label={t("footage.media.medium")}>
            {MEDIA.map((medium) => (
              <option key={medium} value={medium}>
                {t(`footage.medium.${medium}`)}
              </option>
            ))}
          </select>
          <Word name="number" label={t("footage.media.number")} />
          <Word name="seal" label={t("footage.media.seal")} />
          <Word name="receiver" label={t("footage.media.receiver")} value={one.requester} />
          <Word name="badge" label={t("footage.field.badge")} value={one.badge} optional />
          <Word name="second_officer" label={t("footage.field.second_officer")} value={one.second_officer} />
          <input name="printed_sha256" class="hash" required pattern="\s*[0-9a-fA-F]{64}\s*" placeholder={t("footage.media.hash")} aria-label={t("footage.media.hash")} title={t("footage.media.hash")} />
          <button type="submit" class="main">
            {t("footage.media.give")}
          </button>
        </form>
      )}
    </section>
  );
}

function Word({ name, label, value = "", optional = false }: { name: string; label: string; value?: string; optional?: boolean }) {
  return <input name={name} required={!optional} maxLength={200} placeholder={label} aria-label={label} title={label} value={value} />;
}
