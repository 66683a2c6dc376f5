// A package that the gateway sends to a configured destination: where it may go, how far each delivery is, and why one failed.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, postOnce } from "./api";
import { deliverable, type Dossier, sized, unconfirmed } from "./footage";
import { look, mine } from "./footage-shelf";
import { exact, refusal, t, worded } from "./i18n";
import { may, tell } from "./session";

const AGAIN_MS = 1000;
const OPEN = ["pending", "sending"];

interface Destination {
  name: string;
  way: string;
  where: string;
  plain_because: string;
}

interface Delivery {
  id: string;
  way: string;
  state: string;
  destination: string;
  target: string;
  receiver: string;
  attempts: number;
  size: number;
  sent: number;
  sha256: string;
  outside_sha256: string;
  reason: string;
  at: string;
  next_attempt_at: string | null;
  ended_at: string | null;
}

export function Sending({ one }: { one: Dossier }) {
  const known = useSignal<readonly Destination[]>([]);
  const sent = useSignal<readonly Delivery[]>([]);
  const path = `/v1/footage-requests/${encodeURIComponent(one.id)}/deliveries`;
  const said = (deed: Promise<unknown>) => void deed.catch((error: Error) => tell(error.message, true));
  const read = async () => {
    sent.value = (await get<{ items: Delivery[] }>(path)).items.filter((delivery) => delivery.way !== "medium");
  };
  const open = sent.value.some((delivery) => OPEN.includes(delivery.state));
  useEffect(() => said(get<{ items: Destination[] }>("/v1/footage-destinations").then((found) => (known.value = found.items))), []);
  useEffect(() => said(read()), [one.id, one.custody.length]);
  useEffect(() => {
    if (!open) return;
    const timer = setInterval(() => said(read()), AGAIN_MS);
    return () => {
      clearInterval(timer);
      look(one.id);
    };
  }, [one.id, open]);
  const given = ["ready", "partial"].includes(one.state);
  const sending = mine(one) && may("footage:download") && deliverable(one.state) && given && one.kind !== "citizen" && !unconfirmed(one) && one.missing.length === 0;
  if (sent.value.length === 0 && (!sending || known.value.length === 0)) return null;
  const send = async (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim();
    await postOnce(`${path}/${encodeURIComponent(text("destination"))}`, { receiver: text("receiver"), badge: text("badge") });
    await read();
  };
  return (
    <section class="card sending">
      <h2>{t("footage.sending")}</h2>
      {sending && known.value.length > 0 && <Order one={one} known={known.value} send={(form) => said(send(form))} />}
      <ul>
        {sent.value.map((delivery) => (
          <Sent key={delivery.id} delivery={delivery} />
        ))}
      </ul>
    </section>
  );
}

function Order({ one, known, send }: { one: Dossier; known: readonly Destination[]; send: (form: FormData) => void }) {
  const chosen = useSignal(known[0]!.name);
  const place = known.find((each) => each.name === chosen.value);
  return (
    <>
      <p class="hint">{t("footage.sending.how")}</p>
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          send(new FormData(event.currentTarget));
        }}
      >
        <label class="field">
          <span>{t("footage.sending.destination")}</span>
          <select name="destination" value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
            {known.map((each) => (
              <option key={each.name} value={each.name}>
                {each.name} · {worded("footage.way", each.way)}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>{t("footage.media.receiver")}</span>
          <input name="receiver" required maxLength={200} value={one.requester} />
        </label>
        <label class="field">
          <span>{t("footage.field.badge")}</span>
          <input name="badge" maxLength={200} value={one.badge} />
        </label>
        <button type="submit" class="main">
          {t("footage.sending.send")}
        </button>
      </form>
      <p class="dim where">
        → <code>{place?.where}</code> {place !== undefined && place.plain_because !== "" && <span class="chip hot">{t("footage.sending.plain", { why: place.plain_because })}</span>}
      </p>
    </>
  );
}

function Sent({ delivery }: { delivery: Delivery }) {
  const tone = { done: "resolved", failed: "hot" }[delivery.state] ?? "";
  const [code = "", ...words] = delivery.reason.split(": ");
  return (
    <li data-sent={delivery.id} data-state={delivery.state}>
      <b>{delivery.destination}</b> <span class="dim">{worded("footage.way", delivery.way)}</span> → {delivery.receiver} <span class={`chip ${tone}`}>{worded("footage.sending.state", delivery.state)}</span>{" "}
      <span class="dim">
        {exact(delivery.ended_at ?? delivery.at)} · {sized(delivery.size)} {delivery.attempts > 1 && t("footage.sending.attempts", { n: delivery.attempts })}
      </span>
      {delivery.state === "sending" && <progress aria-label={t("footage.sending.state.sending")} value={delivery.sent} max={delivery.size} />}
      {delivery.reason !== "" && <p class="wrong">{refusal(code, words.join(": "))}</p>}
      {delivery.next_attempt_at !== null && <p class="dim">{t("footage.sending.next", { when: exact(delivery.next_attempt_at) })}</p>}
      <p>
        <code>{delivery.target}</code>
      </p>
      {delivery.outside_sha256 !== "" && (
        <p class="wrong">
          {t("footage.sending.outside")} SHA-256 <code>{delivery.outside_sha256}</code>
        </p>
      )}
      {delivery.sha256 !== "" && (
        <p>
          SHA-256 <code>{delivery.sha256}</code>
        </p>
      )}
    </li>
  );
}
