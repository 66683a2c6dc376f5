// The live wall: every camera group as one tile, by district and street, in the order of its grid cell.
import { useComputed } from "@preact/signals";
import type { City, Device, Group } from "./city";
import { t } from "./i18n";
import type { Desk } from "./incidents";
import { Mark } from "./marks";
import { chosen, only, opened, search } from "./session";

export function matches(group: Group, words: string): boolean {
  const needle = words.trim().toLowerCase();
  if (needle === "") return true;
  const own = [group.id, group.name, group.cell ?? "", group.street, group.district];
  return own.some((text) => text.toLowerCase().includes(needle)) || group.devices.some((device) => meant(device, needle));
}

/** The one group that the words find, and the one device of it where they find a single one; null while they find none or several. */
export function found(groups: Iterable<Group>, words: string): { group: Group; device: Device | null } | null {
  const [group, ...others] = [...groups].filter((one) => matches(one, words));
  if (words.trim() === "" || group === undefined || others.length > 0) return null;
  const devices = group.devices.filter((one) => meant(one, words.trim().toLowerCase()));
  return { group, device: devices.length === 1 ? devices[0]! : null };
}

const meant = (device: Device, needle: string): boolean => `${device.id} ${device.name} ${device.address}`.toLowerCase().includes(needle);

function shown(city: City): Group[] {
  const groups = [...city.groups.values()].filter((group) => matches(group, search.value));
  return only.value === null ? groups : groups.filter((group) => group.devices.some((d) => d.standing.value.state === only.value));
}

/** Groups by district, then by street, each in the order of their cells. */
export function byPlace(groups: readonly Group[]): Map<string, Map<string, Group[]>> {
  const sorted = [...groups].sort((a, b) => (a.cell ?? "").localeCompare(b.cell ?? "") || a.id.localeCompare(b.id));
  const districts = new Map<string, Map<string, Group[]>>();
  for (const group of sorted) {
    const streets = districts.get(group.district) ?? new Map<string, Group[]>();
    districts.set(group.district, streets);
    const list = streets.get(group.street) ?? [];
    streets.set(group.street, list);
    list.push(group);
  }
  return districts;
}

export function Wall({ city, desk }: { city: City; desk: Desk }) {
  const places = useComputed(() => byPlace(shown(city)));
  if (city.groups.size === 0) return <p class="notice">{t("empty")}</p>;
  if (places.value.size === 0) return <p class="notice">{t("nomatch")}</p>;
  return (
    <div class="wall">
      {[...places.value].map(([district, streets]) => (
        <section key={district}>
          <h2>
            {district} <small>{t("groups", { n: [...streets.values()].reduce((sum, list) => sum + list.length, 0) })}</small>
          </h2>
          <div class="streets">
            {[...streets].map(([street, groups]) => (
              <div class="street" key={street}>
                <h3>{street}</h3>
                <div class="tiles">
                  {groups.map((group) => (
                    <Tile key={group.id} desk={desk} group={group} />
                  ))}
                </div>
              </div>
            ))}
          </div>
        </section>
      ))}
    </div>
  );
}

function Tile({ desk, group }: { desk: Desk; group: Group }) {
  const state = group.state.value;
  const muted = useComputed(() => group.devices.some((device) => desk.mutes(device, group.district) !== undefined)).value;
  return (
    <button
      class={`tile ${state} ${muted ? "muted" : ""}`}
      aria-pressed={chosen.value === group.id}
      aria-label={`${group.name}, ${t(`state.${state}`)}`}
      title={`${group.name}\n${t("cell")} ${group.cell ?? "–"}\n${t(`state.${state}`)}${muted ? ` · ${t("muted")}` : ""}`}
      onClick={() => {
        opened.value = null;
        chosen.value = group.id;
      }}
    >
      <Mark state={state} />
    </button>
  );
}
