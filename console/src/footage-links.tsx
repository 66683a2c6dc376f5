// Personal links: one named person downloads by one of them, counted, for some hours; what was taken by each, and the end of it by one button.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, get, postOnce } from "./api";
import { deliverable, type Dossier, sized, unconfirmed } from "./footage";
import { exact, self, t, when } from "./i18n";
import { may, tell } from "./session";

interface Link {
  id: string;
  path: string;
  receiver: string;
  badge: string;
  unit: string;
  downloads: number;
  expires_at: string;
  denials: number;
  revoked_at: string | null;
  takes: { name: string; number: number; size: number; sent: number; last_at: string }[];
}

/** What was just made: its code is told this once; null when the connection broke and the call had to be sent again. */
interface Made extends Link {
  code: string | null;
}

export function Links({ one }: { one: Dossier }) {
  const links = useSignal<readonly Link[]>([]);
  const made = useSignal<Made | null>(null);
  const path = `/v1/footage-requests/${encodeURIComponent(one.id)}/links`;
  const read = () => get<{ items: Link[] }>(path).then((found) => (links.value = found.items));
  const said = (deed: Promise<unknown>) => void deed.catch((error: Error) => tell(error.message, true));
  useEffect(() => said(read()), [one.id, one.custody.length]);
  const mine = one.submitted_by.actor === self.value.actor && may("footage:download") && deliverable(one.state) && one.kind !== "citizen" && !unconfirmed(one);
  if (!mine && links.value.length === 0) return null;
  const make = async (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim();
    made.value = await postOnce<Made>(path, {
      ...{ receiver: text("receiver"), badge: text("badge"), unit: text("unit") },
      ...(text("hours") && { hours: Number(text("hours")) }),
    });
    await read();
  };
  return (
    <section class="card links">
      <h2>{t("footage.links")}</h2>
      <p class="hint">{t("footage.links.how")}</p>
      {mine && (
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            const form = event.currentTarget;
            said(make(new FormData(form)).then(() => form.reset()));
          }}
        >
          <input name="receiver" required maxLength={200} placeholder={t("footage.links.receiver")} aria-label={t("footage.links.receiver")} />
          <input name="badge" required maxLength={200} placeholder={t("footage.field.badge")} aria-label={t("footage.field.badge")} />
          <input name="unit" maxLength={200} placeholder={t("footage.field.unit")} aria-label={t("footage.field.unit")} value={one.unit} />
          <input name="hours" type="number" min="1" max="720" placeholder={t("footage.links.hours")} aria-label={t("footage.links.hours")} />
          <button type="submit">{t("footage.links.make")}</button>
        </form>
      )}
      {made.value?.code === null && (
        <p class="once wrong" role="alert">
          {t("footage.links.codeless", { receiver: made.value.receiver, link: made.value.id })}
        </p>
      )}
      {made.value?.code && (
        <p class="once" role="status">
          {t("footage.links.made", { receiver: made.value.receiver })}
          <br />
          <code class="address">{`${location.origin}${made.value.path}`}</code>
          <br />
          {t("footage.links.code", { badge: made.value.badge })} <code class="code">{made.value.code}</code>
        </p>
      )}
      <ul>
        {links.value.map((link) => (
          <li key={link.id} data-link={link.id} class={link.revoked_at !== null ? "is-over" : ""}>
            <b>{link.receiver}</b> {link.badge} <span class="dim">{link.unit}</span> <code>{link.id}</code>{" "}
            {link.revoked_at !== null ? <span class="chip open">{t("footage.links.revoked", { at: when(link.revoked_at) })}</span> : <span class="chip">{t("footage.links.until", { at: exact(link.expires_at) })}</span>}{" "}
            {link.denials > 0 && <span class="chip hot">{t("footage.links.denied", { n: link.denials })}</span>}{" "}
            {link.revoked_at === null && may("footage:download") && (
              <button onClick={() => said(call(`/v1/footage-links/${encodeURIComponent(link.id)}`, { method: "DELETE" }).then(read))}>{t("footage.links.revoke")}</button>
            )}
            {link.takes.map((take) => (
              <div key={`${take.name} ${take.number}`} class="dim">
                ↓ {take.name} {sized(take.sent)} / {sized(take.size)} · {exact(take.last_at)}
              </div>
            ))}
          </li>
        ))}
      </ul>
    </section>
  );
}
