// The same groups where they stand: a plain projection of their positions, no base map needed.
import { useComputed } from "@preact/signals";
import type { City, Group } from "./city";
import { t } from "./i18n";
import { chosen, only, search } from "./session";
import { matches } from "./wall";

const WIDTH = 1000;
const MARGIN = 20;

/** Project WGS-84 onto the drawing: equirectangular about the middle latitude, which is exact enough over a city. */
export function projection(groups: readonly Group[]): { height: number; place(group: Group): [number, number] } {
  const latitudes = groups.map((group) => group.latitude!);
  const longitudes = groups.map((group) => group.longitude!);
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const scale = (WIDTH - 2 * MARGIN) / (((east - west) * squeeze) || 1);
  return {
    height: (north - south) * scale + 2 * MARGIN,
    place: (group) => [MARGIN + (group.longitude! - west) * squeeze * scale, MARGIN + (north - group.latitude!) * scale],
  };
}

export function CityMap({ city }: { city: City }) {
  const placed = useComputed(() => [...city.groups.values()].filter((group) => group.latitude !== null && group.longitude !== null));
  if (placed.value.length === 0) return <p class="notice">{t("nomatch")}</p>;
  const { height, place } = projection(placed.value);
  return (
    <svg class="map" viewBox={`0 0 ${WIDTH} ${Math.max(200, height)}`} role="group" aria-label={t("view.map")}>
      {placed.value.map((group) => (
        <Spot key={group.id} group={group} at={place(group)} />
      ))}
    </svg>
  );
}

function Spot({ group, at: [x, y] }: { group: Group; at: [number, number] }) {
  const state = group.state.value;
  const faint = !matches(group, search.value) || (only.value !== null && state !== only.value);
  return (
    <g
      class={`spot ${state} ${faint ? "faint" : ""} ${chosen.value === group.id ? "chosen" : ""}`}
      transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}
      role="button"
      tabIndex={0}
      onClick={() => (chosen.value = group.id)}
      onKeyDown={(event) => event.key === "Enter" && (chosen.value = group.id)}
    >
      <title>{`${group.name} · ${t(`state.${state}`)}`}</title>
      {state === "up" ? <circle r="5" /> : state === "down" ? <path d="M-7-4l4-4 3 5 3-5 4 4-5 4 5 4-4 4-3-5-3 5-4-4 5-4z" /> : <path d="M0-7l7 13h-14z" />}
    </g>
  );
}
