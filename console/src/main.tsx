// The console: signs in, reads the city once, then lets events redraw what changed.
import { render } from "preact";
import { useState } from "preact/hooks";
import { t } from "./i18n";
import { CityMap } from "./map";
import { Panel } from "./panel";
import { enter, open, phase, view } from "./session";
import "./style.css";
import { TopBar } from "./summary";
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
          <TopBar city={now.city} />
          <main>
            {view.value === "wall" ? <Wall city={now.city} /> : <CityMap city={now.city} />}
            <Panel city={now.city} />
          </main>
        </>
      );
  }
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

render(<App />, document.getElementById("app")!);
void open();
