// Beside the wall: what hangs on the chosen group, and the latest changes of the whole city.
import type { City, Device } from "./city";
import { reason, t, when } from "./i18n";
import { Mark } from "./marks";
import { chosen } from "./session";

export function Panel({ city }: { city: City }) {
  return (
    <aside>
      <Chosen city={city} />
      <Recent city={city} />
    </aside>
  );
}

function Chosen({ city }: { city: City }) {
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
          <DeviceRow key={device.id} device={device} />
        ))}
      </ul>
    </section>
  );
}

function DeviceRow({ device }: { device: Device }) {
  const { state, reason: why, since } = device.standing.value;
  return (
    <li>
      <Mark state={state} />
      <div>
        <b>{device.name}</b> <span class="dim">{device.model}</span>
        <br />
        <span class="dim">
          {t(`state.${state}`)} {why !== "" && <em title={why}>{reason(why)}</em>} {since !== null && `${t("since")} ${when(since)}`} · <code>{device.address}</code>
        </span>
      </div>
    </li>
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
              {change.device.name} <em>{reason(change.reason)}</em>
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
