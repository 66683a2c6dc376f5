// The bar on top: how many devices of each kind are in which state, the search, the two views, language and theme.
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { type City, KINDS } from "./city";
import { language, t } from "./i18n";
import { Mark } from "./marks";
import { connected, leave, only, search, theme, view } from "./session";
import { STATES } from "./states";

export function TopBar({ city }: { city: City }) {
  return (
    <header class="top">
      <div class="brand">
        <strong>{t("title")}</strong>
        <span>{t("subtitle")}</span>
      </div>
      <Counts city={city} />
      <Search />
      <nav>
        {(["wall", "map"] as const).map((name) => (
          <button key={name} aria-pressed={view.value === name} onClick={() => (view.value = name)}>
            {t(`view.${name}`)}
          </button>
        ))}
        <button onClick={() => (language.value = language.value === "zh" ? "en" : "zh")}>{t("language")}</button>
        <button title={t("theme")} aria-label={t("theme")} onClick={() => (theme.value = theme.value === "dark" ? "light" : "dark")}>
          ◐
        </button>
        <button onClick={() => void leave()}>{t("logout")}</button>
      </nav>
      <span class={`link ${connected.value ? "on" : "off"}`} role="status">
        {t(connected.value ? "live" : "live.lost")}
      </span>
    </header>
  );
}

function Counts({ city }: { city: City }) {
  const counts = useComputed(() => city.counts());
  return (
    <dl class="counts">
      {KINDS.map((kind) => (
        <div key={kind}>
          <dt>{t(`kind.${kind}`)}</dt>
          <dd>
            {[...STATES].reverse().map((state) => {
              const count = counts.value[kind][state];
              return count > 0 || state === "up" ? (
                <button
                  key={state}
                  class={`count ${state}`}
                  title={t(`state.${state}`)}
                  aria-pressed={only.value === state}
                  onClick={() => (only.value = only.value === state ? null : state)}
                >
                  <Mark state={state} />
                  {count}
                </button>
              ) : null;
            })}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Search() {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== "/" || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      box.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return (
    <input
      ref={box}
      type="search"
      placeholder={t("search")}
      aria-label={t("search")}
      value={search.value}
      onInput={(event) => (search.value = event.currentTarget.value)}
    />
  );
}
