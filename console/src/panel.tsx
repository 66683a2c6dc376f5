// Beside the wall: what hangs on the chosen group, one device with all that is known of it, and the latest changes of the whole city.
import { useEffect, useRef } from "preact/hooks";
import type { City, Device } from "./city";
import { end, maintain, restart, SPANS, visit } from "./deeds";
import { Speakers } from "./hearing";
import { language, lasted, reason, t, when } from "./i18n";
import type { Desk } from "./incidents";
import { Mark } from "./marks";
import { Seen } from "./seen";
import { chosen, looked, may, mayAct, opened, view } from "./session";
import { Shout } from "./shout";

const BELOW = "(max-width: 900px)"; // where all of this stands below the wall, as style.css has it
const HOPS = 8; // uplinks one after the other; an inventory with a loop has no end

export function Panel({ city, desk }: { city: City; desk: Desk }) {
  const device = opened.value === null ? undefined : city.devices.get(opened.value);
  const here = useRef<HTMLElement>(null);
  useEffect(() => {
    if (device && matchMedia(BELOW).matches) here.current?.scrollIntoView();
  }, [device?.id]);
  return (
    <aside ref={here}>
      {device ? <Page city={city} desk={desk} device={device} /> : <Chosen city={city} desk={desk} />}
      <Recent city={city} />
    </aside>
  );
}

function Chosen({ city, desk }: { city: City; desk: Desk }) {
  const group = chosen.value === null ? undefined : city.groups.get(chosen.value);
  if (group === undefined) return <p class="hint">{t("selected.none")}</p>;
  return (
    <section class="card">
      <h2>
        <Mark state={group.state.value} /> {group.name}
      </h2>
      <p class="where">
        {group.district} {group.street} · {t("cell")} <code>{group.cell ?? "–"}</code>
      </p>
      <ul class="devices">
        {group.devices.map((device) => (
          <DeviceRow key={device.id} city={city} desk={desk} device={device} />
        ))}
      </ul>
      <Maintain desk={desk} places={{ groups: [group.id] }} />
    </section>
  );
}

function DeviceRow({ city, desk, device }: { city: City; desk: Desk; device: Device }) {
  const { state, reason: why, since } = device.standing.value;
  return (
    <li onClick={() => (opened.value = device.id)}>
      <Mark state={state} />
      <div>
        <button class="plain">
          <b>{device.name}</b>
        </button>{" "}
        <span class="dim">{device.model}</span>
        <br />
        <span class="dim">
          {t(`state.${state}`)} {why !== "" && <em title={why}>{reason(why)}</em>} {since !== null && `${t("since")} ${when(since)}`} · <code>{device.address}</code>
        </span>
        <Beside city={city} desk={desk} device={device} />
      </div>
    </li>
  );
}

/** What stands beside a state, and never in it: maintenance, a dead device in front, the incident. */
export function Beside({ city, desk, device }: { city: City; desk: Desk; device: Device }) {
  const district = device.group !== null ? (city.groups.get(device.group)?.district ?? "") : "";
  const window = desk.mutes(device, district);
  const dead = device.standing.value.state === "up" ? undefined : city.behind(device);
  let incident = desk.of.value.get(device.id);
  let cause = dead;
  for (let hops = 0; !incident && cause && hops < HOPS; hops++) {
    incident = desk.of.value.get(cause.id); // an incident lists its first members only, its cause among them
    cause = city.behind(cause);
  }
  if (!window && !dead && !incident) return null;
  return (
    <span class="chips">
      {window && <span class="chip muted">{t("muted")}</span>}
      {dead && <span class="chip">{t("suppressed", { name: dead.name || dead.id })}</span>}
      {incident && (
        <button
          class="chip hot"
          onClick={(event) => {
            event.stopPropagation();
            looked.value = incident.id;
            view.value = "incidents";
          }}
        >
          {incident.id}
        </button>
      )}
    </span>
  );
}

/** One device: who it is, how it is, its file, maintenance in one click. */
export function Page({ city, desk, device }: { city: City; desk: Desk; device: Device }) {
  const { state, reason: why, since } = device.standing.value;
  const group = device.group !== null ? city.groups.get(device.group) : undefined;
  const uplink = device.uplink !== null ? city.devices.get(device.uplink) : undefined;
  const window = desk.mutes(device, group?.district ?? "");
  const facts: [string, string][] = [
    [t("fact.id"), device.id],
    [t("fact.kind"), t(`one.${device.kind}`)],
    [t("fact.model"), `${device.vendor} ${device.model}`.trim()],
    [t("fact.serial"), device.serial],
    [t("fact.address"), device.address],
    [t("fact.group"), group ? `${group.name} · ${group.district} ${group.street}` : ""],
    [t("cell"), device.cell ?? ""],
    [t("fact.uplink"), uplink ? uplink.name || uplink.id : ""],
  ];
  return (
    <section class="card page">
      <button class="close" aria-label={t("close")} onClick={() => (opened.value = null)}>
        ✕
      </button>
      <h2>
        <Mark state={state} /> {device.name || device.id}
      </h2>
      <p>
        {t(`state.${state}`)} {why !== "" && <em title={why}>{reason(why)}</em>} {since !== null && <span class="dim">{lasted(since)}</span>}
      </p>
      <Beside city={city} desk={desk} device={device} />
      {device.kind === "camera" && may("control:act") && <Seen key={device.id} camera={device} />}
      {(device.kind === "camera" || device.kind === "speaker") && <Shout city={city} device={device} />}
      <dl class="facts">
        {facts
          .filter(([, value]) => value !== "")
          .map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
      </dl>
      {device.kind === "camera" && <Speakers camera={device} />}
      {mayAct.value && (
        <p class="repair">
          <button onClick={() => void visit(device.id)}>{t("visit")}</button>
          {(device.kind === "camera" || device.kind === "speaker") && device.uplink !== null && (
            <button onClick={() => void restart(device.id)}>{t("power")}</button>
          )}
        </p>
      )}
      <p class="repair">
        <a href={`/v1/devices/${encodeURIComponent(device.id)}/file.html?lang=${language.value}`} target="_blank" rel="noopener">
          {t("file")} ↗
        </a>
      </p>
      {window === undefined ? (
        <Maintain desk={desk} places={{ devices: [device.id] }} />
      ) : (
        mayAct.value && <button onClick={() => void end(desk, window.id)}>{t("maintain.end")}</button>
      )}
    </section>
  );
}

function Maintain({ desk, places }: { desk: Desk; places: Parameters<typeof maintain>[1] }) {
  if (!mayAct.value) return null;
  return (
    <p class="repair">
      <span class="dim">{t("maintain")}</span>
      {SPANS.map((span) => (
        <button key={span} onClick={() => void maintain(desk, places, span)}>
          {t(`for.${span}`)}
        </button>
      ))}
    </p>
  );
}

function Recent({ city }: { city: City }) {
  const changes = city.recent.value;
  return (
    <section class="card grow">
      <h2>{t("recent")}</h2>
      {changes.length === 0 && <p class="hint">{t("recent.none")}</p>}
      <ol class="recent">
        {changes.map((change) => (
          <li key={change.cursor} onClick={() => (chosen.value = change.device.group ?? chosen.value)}>
            <time>{when(change.at)}</time>
            <Mark state={change.before} />→<Mark state={change.after} />
            <span>
              <button class="plain">{change.device.name}</button> <em>{reason(change.reason)}</em>
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
