// The footage desk: which requests there are and what each waits for; beside them the one that is looked at, or the one that is typed.
import type { City } from "./city";
import { nextOf, type Request, STATES, waits } from "./footage";
import { DossierPage } from "./footage-dossier";
import { Figures } from "./footage-figures";
import { Form } from "./footage-form";
import { at, begin, counting, dossier, draft, filing, look, mine, more, read, readMore, requests, wanted } from "./footage-shelf";
import { t, when, worded } from "./i18n";
import { Stage, Urgent } from "./marks";
import { may } from "./session";

export function FootageDesk({ city }: { city: City }) {
  return (
    <>
      <section class="desk">
        <h2>{t("view.footage")}</h2>
        <p class="hint">{t(may("footage:request") ? "footage.how" : "footage.how.deciding")}</p>
        <Filters />
        {requests.value?.length === 0 && <p class="notice small">{t("footage.none")}</p>}
        <ol class="requests">
          {(requests.value ?? []).map((one) => (
            <Row key={one.id} one={one} />
          ))}
        </ol>
        {more.value && <button onClick={() => void readMore()}>{t("footage.older")}</button>}
      </section>
      <div>
        {filing.value ? <Form city={city} /> : counting.value ? <Figures /> : at.value !== null ? dossier.value?.id === at.value && <DossierPage city={city} one={dossier.value} /> : <p class="hint">{t(may("footage:request") ? "footage.choose" : "footage.choose.deciding")}</p>}
      </div>
    </>
  );
}

/** Show the desk's figures, or put them away. */
function count() {
  const shown = counting.value;
  look(null);
  counting.value = !shown;
}

function Filters() {
  const set = (change: Partial<typeof wanted.value>) => {
    wanted.value = { ...wanted.value, ...change };
    void read();
  };
  return (
    <form class="filters" onSubmit={(event) => event.preventDefault()}>
      {may("footage:request") && (
        <button type="button" class="main" onClick={() => void begin()}>
          {t(draft.value === null ? "footage.new" : "footage.resume")} <kbd>n</kbd>
        </button>
      )}
      <select aria-label={t("footage.state")} value={wanted.value.state} onChange={(event) => set({ state: event.currentTarget.value })}>
        <option value="">{t("footage.any")}</option>
        {STATES.map((state) => (
          <option key={state} value={state}>
            {worded("footage.state", state)}
          </option>
        ))}
      </select>
      <input
        type="search"
        placeholder={t("footage.search")}
        aria-label={t("footage.search")}
        value={wanted.value.q}
        onChange={(event) => set({ q: event.currentTarget.value })}
      />
      <label class="chosen-one">
        <input type="checkbox" checked={wanted.value.owing !== ""} onChange={(event) => set({ owing: event.currentTarget.checked ? "true" : "" })} /> {t("footage.owing.only")}
      </label>
      <button type="button" onClick={() => void read()}>
        {t("ledger.again")}
      </button>
      <button type="button" aria-pressed={counting.value} data-counting onClick={count}>
        {t("footage.figures")}
      </button>
    </form>
  );
}

function Row({ one }: { one: Request }) {
  const forMe = waits(one, may, mine(one));
  return (
    <li class={`request ${forMe ? "mine" : ""}`} data-request={one.id} aria-current={at.value === one.id} onClick={() => look(one.id)}>
      <div class="what">
        <b>
          <Urgent one={one} /> {one.case_number}
        </b>
        <span class="dim">
          {one.unit} {one.requester} · {when(one.start)} · {t("footage.cameras", { n: one.cameras.length })}
        </span>
        <span class={forMe ? "" : "dim"}>{t(nextOf(one, may, mine(one)))}</span>
      </div>
      <div class="who">
        <Stage state={one.state} />
        <time title={when(one.submitted_at)}>{when(one.submitted_at)}</time>
      </div>
    </li>
  );
}
