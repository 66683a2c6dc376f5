// In a camera's page: which loudspeakers are heard where it looks, why each would speak or not, and a person's word on it.
import { useEffect, useState } from "preact/hooks";
import { decideBinding, type Heard, presetsBound, speakersOf } from "./api";
import type { Device } from "./city";
import { reason, t } from "./i18n";
import { Mark } from "./marks";
import { mayBind, opened, tell } from "./session";
import { stateOf } from "./states";

export function Speakers({ camera }: { camera: Device }) {
  const [preset, choose] = useState("");
  const [presets, setPresets] = useState<readonly string[]>([""]);
  const [found, show] = useState<Heard[] | null>(null);

  async function read(): Promise<void> {
    try {
      show(await speakersOf(camera.id, preset));
    } catch (error) {
      tell(String((error as Error).message), true);
    }
  }
  async function decide(heard: Heard, decision: "confirm" | "reject"): Promise<void> {
    try {
      await decideBinding({ camera: camera.id, preset: heard.view?.preset ?? preset, speaker: heard.speaker }, decision);
      tell(t(decision === "confirm" ? "bond.confirmed.done" : "bond.rejected.done", { name: heard.name }));
      await read();
    } catch (error) {
      tell(String((error as Error).message), true);
    }
  }

  useEffect(() => {
    choose("");
    void presetsBound(camera.id).then(setPresets, () => setPresets([""]));
  }, [camera.id]);
  useEffect(() => void read(), [camera.id, preset]);

  if (found === null) return null;
  return (
    <section class="speakers">
      <h3>{t("speakers.heard")}</h3>
      {presets.length > 1 && (
        <p class="buttons">
          {presets.map((one) => (
            <button key={one} aria-pressed={one === preset} onClick={() => choose(one)}>
              {one === "" ? t("preset.any") : t("preset.one", { preset: one })}
            </button>
          ))}
        </p>
      )}
      {found.length === 0 && <p class="hint">{t("speakers.none")}</p>}
      <ul class="devices">
        {found.map((heard) => (
          <li key={heard.speaker}>
            <Mark state={stateOf(heard.state)} />
            <div>
              <button class="plain" onClick={() => (opened.value = heard.speaker)}>
                <b>{heard.name || heard.speaker}</b>
              </button>{" "}
              <span class="dim">
                {heard.view?.distance_m != null && `${Math.round(heard.view.distance_m)} m`} {heard.view && t(`bond.${heard.view.bond}`)}
              </span>
              <br />
              {heard.chosen ? <span class="chip resolved">{t("speaks")}</span> : <span class="dim">{reason(heard.reason)}</span>}{" "}
              {heard.view?.note && <span class="dim">{heard.view.note}</span>}
              {mayBind.value && (
                <span class="chips">
                  {heard.view?.bond !== "confirmed" && <button onClick={() => void decide(heard, "confirm")}>{t("bond.confirm")}</button>}
                  {heard.view?.bond !== "rejected" && <button onClick={() => void decide(heard, "reject")}>{t("bond.reject")}</button>}
                </span>
              )}
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}
