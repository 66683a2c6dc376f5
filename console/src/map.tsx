// The same groups where they stand: a plain projection of their positions, no base map needed.
import { useComputed } from "@preact/signals";
import type { City, Group } from "./city";
import { t } from "./i18n";
import { chosen, only, search } from "./session";
import { matches } from "./wall";

const WIDTH = 1000;
const MARGIN = 20;
const METRES_A_DEGREE = 111_195; // of latitude, on a sphere of 6,371 km

export interface Point {
  latitude: number;
  longitude: number;
}

/** Projects WGS-84 onto the drawing and back: equirectangular about the middle latitude, which is exact enough over a city. `metre`: how long one is there. */
export interface Projection {
  height: number;
  metre: number;
  place(point: Point): [number, number];
  point(at: [number, number]): Point;
}

export function projection(groups: readonly Group[]): Projection {
  const latitudes = groups.map((group) => group.latitude!);
  const longitudes = groups.map((group) => group.longitude!);
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const scale = (WIDTH - 2 * MARGIN) / (((east - west) * squeeze) || 1);
  return {
    height: (north - south) * scale + 2 * MARGIN,
    metre: scale / METRES_A_DEGREE,
    place: ({ latitude, longitude }) => [MARGIN + (longitude - west) * squeeze * scale, MARGIN + (north - latitude) * scale],
    point: ([x, y]) => ({ latitude: north - (y - MARGIN) / scale, longitude: west + (x - MARGIN) / (squeeze * scale) }),
  };
}

/** What is picked on the map: groups by a click on each; a click beside them is a `point`. */
export interface Picking {
  picked: readonly string[];
  pick(id: string): void;
  point(at: Point): void;
  circle: { centre: Point; radius_m: number } | null;
  route: readonly Point[];
}

/** All groups; a click chooses one, or picks it. */
export function CityMap({ city, picking }: { city: City; picking?: Picking }) {
  const placed = useComputed(() => [...city.groups.values()].filter((group) => group.latitude !== null && group.longitude !== null));
  if (placed.value.length === 0) return <p class="notice">{t("nomatch")}</p>;
  const drawn = projection(placed.value);
  const place = (group: Group) => drawn.place({ latitude: group.latitude!, longitude: group.longitude! });
  const click = (event: MouseEvent) => {
    const drawing = event.currentTarget as SVGSVGElement;
    const there = drawing.getScreenCTM();
    if (!picking || event.target !== drawing || there === null) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(there.inverse());
    picking.point(drawn.point([at.x, at.y]));
  };
  return (
    <svg class="map" viewBox={`0 0 ${WIDTH} ${Math.max(200, drawn.height)}`} role="group" aria-label={t("view.map")} onClick={click}>
      {picking && <Picked picking={picking} drawn={drawn} />}
      {placed.value.map((group) => (
        <Spot key={group.id} group={group} at={place(group)} is={picking ? picking.picked.includes(group.id) : chosen.value === group.id} pick={picking?.pick ?? choose} />
      ))}
    </svg>
  );
}

/** The circle and the way that are meant. */
function Picked({ picking: { circle, route }, drawn }: { picking: Picking; drawn: Projection }) {
  const at = circle && drawn.place(circle.centre);
  return (
    <>
      {at && <circle class="around" cx={at[0]} cy={at[1]} r={circle!.radius_m * drawn.metre} />}
      {route.length > 0 && <polyline class="route" points={route.map((point) => drawn.place(point).join(",")).join(" ")} />}
      {route.map((point, index) => {
        const [x, y] = drawn.place(point);
        return <circle key={index} class="route" cx={x} cy={y} r="4" />;
      })}
    </>
  );
}

const choose = (id: string): void => {
  chosen.value = id;
};

function Spot({ group, at: [x, y], is, pick }: { group: Group; at: [number, number]; is: boolean; pick: (id: string) => void }) {
  const state = group.state.value;
  const faint = !matches(group, search.value) || (only.value !== null && state !== only.value);
  return (
    <g
      class={`spot ${state} ${faint ? "faint" : ""} ${is ? "chosen" : ""}`}
      transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}
      role="button"
      tabIndex={0}
      onClick={() => pick(group.id)}
      onKeyDown={(event) => {
        if (event.key !== "Enter") return;
        event.preventDefault();
        pick(group.id);
      }}
    >
      <title>{`${group.name} · ${t(`state.${state}`)}`}</title>
      {state === "up" ? <circle r="5" /> : state === "down" ? <path d="M-7-4l4-4 3 5 3-5 4 4-5 4 5 4-4 4-3-5-3 5-4-4 5-4z" /> : <path d="M0-7l7 13h-14z" />}
    </g>
  );
}
