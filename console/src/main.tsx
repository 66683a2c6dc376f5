// The console: signs in, reads the city once, then lets events redraw what changed.
import { render } from "preact";
import { useState } from "preact/hooks";
import type { City } from "./city";
import { DutyDesk } from "./desk";
import { FootageDesk } from "./footage-desk";
import { t } from "./i18n";
import type { Desk } from "./incidents";
import { listen } from "./keys";
import { Ledger } from "./ledger";
import { CityMap } from "./map";
import { Page, Panel } from "./panel";
import { Schedules } from "./schedules";
import { enter, open, opened, phase, said, view } from "./session";
import "./style.css";
import { TopBar } from "./summary";
import { Upkeep } from "./upkeep";
import { Wall } from "./wall";

function App() {
  const now = phase.value;
  switch (now.at) {
    case "signed-out":
      return <SignIn failed={now.failed} />;
    case "loading":
      return <p class="notice">{t("loading")}</p>;
    case "failed":
      return (
        <p class="notice">
          {t("failed", { why: now.why })} <button onClick={() => void open()}>{t("retry")}</button>
        </p>
      );
    case "live":
      return (
        <>
          <TopBar city={now.city} desk={now.desk} />
          <main class={`room-${view.value}`}>
            <Room city={now.city} desk={now.desk} />
          </main>
          <Said />
        </>
      );
  }
}

function Room({ city, desk }: { city: City; desk: Desk }) {
  const device = opened.value === null ? undefined : city.devices.get(opened.value);
  switch (view.value) {
    case "incidents":
      return (
        <>
          <DutyDesk city={city} desk={desk} />
          {device && (
            <div class="over" onClick={(event) => event.target === event.currentTarget && (opened.value = null)}>
              <Page city={city} desk={desk} device={device} />
            </div>
          )}
        </>
      );
    case "maintenance":
      return <Upkeep city={city} desk={desk} />;
    case "ledger":
      return (
        <div>
          <Ledger city={city} />
          <Schedules city={city} />
        </div>
      );
    case "footage":
      return <FootageDesk city={city} />;
    default:
      return (
        <>
          {view.value === "wall" ? <Wall city={city} desk={desk} /> : <CityMap city={city} />}
          <Panel city={city} desk={desk} />
        </>
      );
  }
}

/** What came of the last deed, for some seconds. */
function Said() {
  const now = said.value;
  return now && <p class={`said ${now.wrong ? "wrong" : ""}`} role={now.wrong ? "alert" : "status"}>{now.words}</p>;
}

function SignIn({ failed }: { failed: boolean }) {
  const [key, setKey] = useState("");
  return (
    <form
      class="sign-in"
      onSubmit={(event) => {
        event.preventDefault();
        void enter(key);
      }}
    >
      <img src="./icon.svg" alt="" width="48" height="48" />
      <h1>{t("title")}</h1>
      <label>
        {t("login.key")}
        <input type="password" autocomplete="current-password" value={key} onInput={(event) => setKey(event.currentTarget.value)} autofocus />
      </label>
      {failed && <p role="alert">{t("login.failed")}</p>}
      <button type="submit">{t("login.go")}</button>
      <p class="hint">{t("login.hint")}</p>
    </form>
  );
}

listen();
render(<App />, document.getElementById("app")!);
void open();
