"""The city's polygons: grid cells, streets and districts from GeoJSON (RFC 7946), and generated squares for a demo."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

from gateway.domain.city import City
from gateway.domain.devices import CellCode, GridCell, Position, Ring
from gateway.domain.geo import in_polygon
from gateway.domain.polygons import sound_ring
from gateway.errors import Fault, InvalidInput
from gateway.inventory.raw import Noun, RawFile, RawRow

MAX_CORNERS: Final = 2_000
"""Of one ring; a district's border is drawn with a few hundred."""
_METRES_A_DEGREE: Final = 111_320.0
_PROPERTIES: Final = ("code", "name", "district", "street", "level")


class AreaLevel(StrEnum):
    """What a polygon of the grid file is: a unit grid cell (单元网格), a street (街道) or a district (区)."""

    CELL = "cell"
    STREET = "street"
    DISTRICT = "district"


def read_geojson(data: bytes) -> RawFile:
    """The polygons of a FeatureCollection as rows of the noun `areas`; a foreign member `coordinates` may name their system."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _broken("file", f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("type") != "FeatureCollection" or not isinstance(document.get("features"), list):
        raise _broken("file", "expected a GeoJSON FeatureCollection")
    rows = [_feature_row(feature, f"feature {number}") for number, feature in enumerate(document["features"], start=1)]
    return RawFile(str(document.get("coordinates", "")), frozenset({Noun.AREAS}), rows)


def geojson(*, cells: Iterable[GridCell], streets: Iterable[GridCell] = (), districts: Iterable[GridCell] = ()) -> bytes:
    """The polygons as a FeatureCollection that `read_geojson` reads back without a difference; a feature a line."""
    features = [_feature(cell, AreaLevel.CELL) for cell in cells]
    features += [_feature(street, AreaLevel.STREET) for street in streets]
    features += [_feature(district, AreaLevel.DISTRICT) for district in districts]
    return ('{"type":"FeatureCollection","coordinates":"WGS-84","features":[\n' + ",\n".join(features) + "\n]}\n").encode()


def squares(origin: Position, *, rows: int, columns: int, size_m: float = 100.0, code: str = "{row:03d}{column:03d}") -> Iterator[GridCell]:
    """Generated cells from the north-west corner `origin`, west to east, then north to south.

    `code` is a template with `row`, `column` and `serial`, all counted from 1, as in `371502001001{serial:03d}`. InvalidInput for
    another field or a template that gives two squares the same code.
    """
    d_latitude = size_m / _METRES_A_DEGREE
    d_longitude = d_latitude / math.cos(math.radians(origin.latitude))
    seen: set[str] = set()
    for serial, (row, column) in enumerate(itertools.product(range(rows), range(columns)), start=1):
        name = _code(code, row=row + 1, column=column + 1, serial=serial)
        if name in seen:
            raise InvalidInput(
                f"the code template {code!r} gives {name!r} twice", code="bad-template", hint="use {serial} or {row}{column}"
            )
        seen.add(name)
        north, west = origin.latitude - row * d_latitude, origin.longitude + column * d_longitude
        yield GridCell(CellCode(name), name, (_square(north, west, north - d_latitude, west + d_longitude),))


def rings_of(raw: Sequence[Any]) -> tuple[Ring, ...]:
    """The rings of a polygon's `coordinates`. ValueError, saying why, for what is no closed, simple outline with its holes inside."""
    if not raw:
        raise ValueError("the polygon has no ring")
    rings = tuple(_ring(points) for points in raw)
    for number, hole in enumerate(rings[1:], start=1):
        if not in_polygon(hole[0], rings[:1]) and hole[0] not in rings[0]:
            raise ValueError(f"hole {number} lies outside the outline")
    return rings


def overlaps(cells: Iterable[GridCell]) -> Iterator[tuple[CellCode, CellCode]]:
    """Pairs of cells where the middle of the first lies in the second: a cell drawn twice, or into its neighbour."""
    known = tuple(cells)
    city = City()
    city.replace(devices=(), cells=known)
    for cell in known:
        middle = _middle(cell.rings[0])
        if in_polygon(middle, cell.rings):
            yield from ((cell.code, other) for other in city.cells_at(middle) if other != cell.code)


def _feature_row(feature: Any, where: str) -> RawRow:
    """One feature as a row; what is missing or of another shape becomes empty and is named by the validation."""
    known = feature if isinstance(feature, dict) else {}
    given = known.get("properties")
    properties = given if isinstance(given, dict) else {}
    values: dict[str, Any] = {name: str(properties.get(name) or "") for name in _PROPERTIES}
    values["level"] = values["level"] or AreaLevel.CELL
    values["rings"] = _polygon(known.get("geometry"))
    return RawRow(Noun.AREAS, where, values)


def _polygon(geometry: Any) -> Any:
    """The coordinates of a Polygon, or of a MultiPolygon of one part; a text that says what it is instead."""
    if not isinstance(geometry, dict):
        return "no geometry"
    coordinates = geometry.get("coordinates")
    if geometry.get("type") == "MultiPolygon" and isinstance(coordinates, list) and len(coordinates) == 1:
        return coordinates[0]
    if geometry.get("type") != "Polygon" or not isinstance(coordinates, list):
        return f"{str(geometry.get('type'))[:40]} is not taken, a Polygon is"
    return coordinates


def _ring(points: Any) -> Ring:
    if not isinstance(points, list):
        raise ValueError("a ring needs four points or more, the last equal to the first")  # the reader's word on the polygon
    return sound_ring([_position(point) for point in points[: MAX_CORNERS + 1]], corners=MAX_CORNERS)


def _position(point: Any) -> Position:
    if not isinstance(point, list) or len(point) < 2 or not all(isinstance(value, int | float) for value in point[:2]):
        raise ValueError("a point must be [longitude, latitude]")
    longitude, latitude = float(point[0]), float(point[1])
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise ValueError(f"[{longitude}, {latitude}] is no longitude and latitude")
    return Position(latitude, longitude)


def _middle(ring: Ring) -> Position:
    corners = ring[:-1]
    return Position(sum(corner.latitude for corner in corners) / len(corners), sum(corner.longitude for corner in corners) / len(corners))


def _feature(polygon: GridCell, level: AreaLevel) -> str:
    properties = {name: getattr(polygon, name) for name in _PROPERTIES[:-1]} | {"level": level}
    outline = [[[corner.longitude, corner.latitude] for corner in ring] for ring in polygon.rings]
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": outline}}
    return json.dumps(feature, ensure_ascii=False, separators=(",", ":"))


def _code(template: str, **fields: int) -> str:
    try:
        return template.format(**fields)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise InvalidInput(f"bad code template {template!r}: {error}", code="bad-template", hint="use {row}, {column}, {serial}") from error


def _square(north: float, west: float, south: float, east: float) -> Ring:
    corners = ((south, west), (south, east), (north, east), (north, west), (south, west))
    return tuple(Position(round(latitude, 9), round(longitude, 9)) for latitude, longitude in corners)


def _broken(where: str, why: str) -> InvalidInput:
    return InvalidInput("the file cannot be read", faults=[Fault(where, why)], code="unreadable")
