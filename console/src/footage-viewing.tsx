// Viewing on site: the films under a watermark on a page of their own, who looks and under whose eyes on record, and what came of it.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { get, postOnce } from "./api";
import { deliverable, type Dossier } from "./footage";
import { look } from "./footage-shelf";
import { self, t, when, worded } from "./i18n";
import { may, tell } from "./session";

interface Viewing {
  id: string;
  page: string;
  viewer: string;
  identity: string;
  started_at: string;
  ended_at: string | null;
  outcome: string | null;
}

const OUTCOMES = ["nothing-found", "no-copy", "copy-wanted", "interrupted"] as const;
const CLOSING: ReadonlySet<string> = new Set(["nothing-found", "no-copy"]);

export function Viewings({ one }: { one: Dossier }) {
  const viewings = useSignal<readonly Viewing[]>([]);
  const path = `/v1/footage-requests/${encodeURIComponent(one.id)}/viewings`;
  const read = () => get<{ items: Viewing[] }>(path).then((found) => (viewings.value = found.items));
  const said = (deed: Promise<unknown>) => void deed.catch((error: Error) => tell(error.message, true));
  useEffect(() => said(read()), [one.id, one.custody.length]);
  if (!may("footage:download")) return null;
  const start = async (form: HTMLFormElement) => {
    const typed = new FormData(form);
    const begun = await postOnce<Viewing>(path, { viewer: String(typed.get("viewer")).trim(), identity: String(typed.get("identity")).trim() });
    await read();
    window.open(begun.page, "_blank", "noopener");
  };
  const end = async (viewing: Viewing, outcome: string) => {
    await postOnce(`/v1/footage-viewings/${encodeURIComponent(viewing.id)}/end`, { outcome });
    look(one.id);
    await read();
  };
  return (
    <section class="card viewings">
      <h2>{t("footage.viewings")}</h2>
      <p class="hint">{t("footage.viewings.how")}</p>
      <ul>
        {viewings.value.map((viewing) => (
          <li key={viewing.id} data-viewing={viewing.id}>
            <b>{viewing.viewer}</b> <span class="dim">{when(viewing.started_at)}</span>{" "}
            {viewing.ended_at !== null ? (
              <span class="chip">{worded("footage.viewed", viewing.outcome ?? "")}</span>
            ) : (
              <>
                <a href={viewing.page} target="_blank" rel="noopener">
                  {t("footage.viewings.open")} ↗
                </a>{" "}
                <span class="outcomes">
                  {t("footage.viewings.end")}
                  {OUTCOMES.map((outcome) => (
                    <button key={outcome} title={CLOSING.has(outcome) ? t("footage.viewings.closes") : undefined} onClick={() => said(end(viewing, outcome))}>
                      {t(`footage.viewed.${outcome}`)}
                    </button>
                  ))}
                </span>
              </>
            )}
          </li>
        ))}
      </ul>
      {deliverable(one.state) && one.submitted_by.actor === self.value.actor && (
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            said(start(event.currentTarget));
          }}
        >
          <label class="field">
            <span>{t("footage.viewings.viewer")}</span>
            <input name="viewer" required maxLength={200} value={one.requester} />
          </label>
          <label class="field">
            <span>{t("footage.viewings.identity")}</span>
            <input name="identity" required maxLength={200} value={one.badge} />
          </label>
          <button type="submit">{t("footage.viewings.start")}</button>
        </form>
      )}
    </section>
  );
}
