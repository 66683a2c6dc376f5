// What follows after a request was filed: the rest of its register, and its documents as scans.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { call, get, post } from "./api";
import { type Dossier, type List, over, sized, wordings } from "./footage";
import { Checked } from "./footage-checked";
import { look, readRegister, register } from "./footage-shelf";
import { language, t, when, worded } from "./i18n";
import { may, tell } from "./session";

const DOCUMENT_KINDS = ["authorisation", "letter", "identity", "signed-sheet", "other"] as const;
const SCANS = "application/pdf,image/jpeg,image/png";
const LISTS: Record<string, List> = { case_kind: "case_kinds", legal_basis: "legal_bases" };

interface Scan {
  id: string;
  kind: string;
  name: string;
  size: number;
  by: { name: string };
  at: string;
  removed_at: string | null;
}

export function Papers({ one }: { one: Dossier }) {
  const scans = useSignal<readonly Scan[]>([]);
  const path = `/v1/footage-requests/${encodeURIComponent(one.id)}`;
  const said = (deed: Promise<unknown>) => void deed.catch((error: Error) => tell(error.message, true));
  const read = () => get<{ items: Scan[] }>(`${path}/documents`).then((found) => (scans.value = found.items));
  useEffect(() => {
    said(read());
    void readRegister();
  }, [one.id, one.custody.length]);
  const mine = may("footage:request") && !over(one.state);
  if (!mine && scans.value.length === 0) return null;
  const upload = async (form: HTMLFormElement) => {
    const typed = new FormData(form);
    const file = typed.get("file");
    if (!(file instanceof File) || file.size === 0) return;
    const query = new URLSearchParams({ kind: String(typed.get("kind")), name: file.name });
    await call(`${path}/documents?${query}`, { method: "POST", headers: { "Content-Type": file.type || "application/octet-stream" }, body: file });
    form.reset();
    look(one.id);
    await read();
  };
  const fill = async (form: HTMLFormElement) => {
    const words = [...new FormData(form)].map(([name, value]) => [name, String(value).trim()]);
    await post(`${path}/register`, Object.fromEntries(words.filter(([, value]) => value !== "")));
    look(one.id);
  };
  return (
    <section class="card papers">
      <h2>{t("footage.papers")}</h2>
      {mine && one.missing.length > 0 && (
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            said(fill(event.currentTarget));
          }}
        >
          {one.missing.map((name) => (
            <Lacking key={name} name={name} />
          ))}
          <button type="submit" class="main">
            {t("footage.papers.fill")}
          </button>
        </form>
      )}
      <ul>
        {scans.value.map((scan) => (
          <li key={scan.id} data-document={scan.id}>
            <span class="chip">{worded("footage.document", scan.kind)}</span>{" "}
            {scan.removed_at === null ? (
              <a href={`${path}/documents/${encodeURIComponent(scan.id)}`} download>
                {scan.name}
              </a>
            ) : (
              <>
                {scan.name} <span class="chip">{t("footage.document.removed", { at: when(scan.removed_at) })}</span>
              </>
            )}{" "}
            <span class="dim">
              {sized(scan.size)} · {scan.by.name} · {when(scan.at)}
            </span>{" "}
            {scan.removed_at === null && <Checked one={one} of={scan.id} />}
          </li>
        ))}
      </ul>
      {mine && (
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            said(upload(event.currentTarget));
          }}
        >
          <select name="kind" aria-label={t("footage.document.kind")}>
            {DOCUMENT_KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {t(`footage.document.${kind}`)}
              </option>
            ))}
          </select>
          <input name="file" type="file" required accept={SCANS} aria-label={t("footage.document.file")} />
          <button type="submit">{t("footage.document.add")}</button>
        </form>
      )}
    </section>
  );
}

function Lacking({ name }: { name: string }) {
  const label = worded("footage.field", name);
  const list = LISTS[name];
  if (list === undefined) return <input name={name} maxLength={200} placeholder={label} aria-label={label} />;
  return (
    <select name={name} aria-label={label}>
      <option value="">{label}</option>
      {Object.entries(wordings(register.value, list, language.value)).map(([code, words]) => (
        <option key={code} value={code}>
          {words}
        </option>
      ))}
    </select>
  );
}

