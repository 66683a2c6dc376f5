"""The generated grid of the simulated city: 12,800 squares of about 100 m, in streets and districts, with their codes."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

COLUMNS, ROWS = 128, 100
CELL_M: Final = 100.0
CENTRE: Final = (36.45, 115.98)
"""Latitude and longitude (WGS-84) of the middle: Liaocheng, Shandong."""
STREET_COLUMNS, STREET_ROWS = 32, 25
COMMUNITY_COLUMNS, COMMUNITY_ROWS = 16, 5
CODE: Final = "{district}{street:03d}{community:03d}{cell:03d}"
"""15 digits as in GB/T 30428.1: district, street, community, cell."""
DISTRICTS: Final = (("371502", "东昌府区"), ("371502", "东昌府区"), ("371572", "高新技术产业开发区"), ("371571", "经济技术开发区"))
"""Code and name of the district of each column of streets, from west to east."""
STREETS: Final = (
    *("道口铺街道", "闫寺街道", "湖西街道", "侯营街道"),
    *("古楼街道", "柳园街道", "新区街道", "凤凰街道"),
    *("九州街道", "韩集街道", "许营街道", "顾官屯街道"),
    *("东城街道", "蒋官屯街道", "北城街道", "广平街道"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A point in one cell of the grid."""

    latitude: float
    longitude: float
    column: int
    row: int
    street: str
    district: str
    district_code: str


class Grid:
    """COLUMNS x ROWS squares; column 0 is the westernmost, row 0 the southernmost."""

    def __init__(self) -> None:
        latitude = math.radians(CENTRE[0])
        # length of a degree on the WGS-84 ellipsoid, in metres
        self._lat_step = CELL_M / (111132.954 - 559.822 * math.cos(2 * latitude) + 1.175 * math.cos(4 * latitude))
        self._lon_step = CELL_M / (111412.84 * math.cos(latitude) - 93.5 * math.cos(3 * latitude) + 0.118 * math.cos(5 * latitude))

    def sample(self, chance: random.Random, count: int) -> list[Place]:
        """`count` places in as many different cells as there are, from north-west to south-east."""
        cells = list(range(COLUMNS * ROWS))
        chosen = [cell for _ in range(count // len(cells)) for cell in cells] + chance.sample(cells, count % len(cells))
        chosen.sort(key=lambda cell: (-(cell // COLUMNS), cell % COLUMNS))
        return [self._place(cell % COLUMNS, cell // COLUMNS, chance.uniform(0.1, 0.9), chance.uniform(0.1, 0.9)) for cell in chosen]

    def geojson(self) -> str:
        """All cells, then streets, then districts, as a GeoJSON FeatureCollection (RFC 7946) with a feature a line."""
        features = [json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in self._features()]
        return '{"type":"FeatureCollection","features":[\n' + ",\n".join(features) + "\n]}\n"

    def _place(self, column: int, row: int, east: float, north: float) -> Place:
        longitude, latitude = self._corner(column + east, row + north)
        street = _street(column, row)
        code, district = DISTRICTS[column // STREET_COLUMNS]
        return Place(latitude, longitude, column, row, STREETS[street - 1], district, code)

    def _features(self) -> Iterator[dict[str, Any]]:
        for row in range(ROWS):
            for column in range(COLUMNS):
                yield self._square("cell", code_of(column, row), f"单元网格{column + 1:03d}-{row + 1:03d}", (column, row), (1, 1))
        for column in range(0, COLUMNS, STREET_COLUMNS):
            for row in range(0, ROWS, STREET_ROWS):
                street = _street(column, row)
                code = f"{DISTRICTS[column // STREET_COLUMNS][0]}{street:03d}"
                yield self._square("street", code, STREETS[street - 1], (column, row), (STREET_COLUMNS, STREET_ROWS))
        for code, name in dict(DISTRICTS).items():
            strips = [index for index, district in enumerate(DISTRICTS) if district[0] == code]
            yield self._square("district", code, name, (strips[0] * STREET_COLUMNS, 0), (len(strips) * STREET_COLUMNS, ROWS))

    def _square(self, level: str, code: str, name: str, at: tuple[int, int], size: tuple[int, int]) -> dict[str, Any]:
        (column, row), (width, height) = at, size
        corners = ((0, 0), (width, 0), (width, height), (0, height), (0, 0))
        properties = {"code": code, "name": name, "district": DISTRICTS[column // STREET_COLUMNS][1], "street": "", "level": level}
        if level != "district":
            properties["street"] = STREETS[_street(column, row) - 1]
        ring = [self._corner(column + east, row + north) for east, north in corners]
        return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    def _corner(self, column: float, row: float) -> tuple[float, float]:
        """Longitude and latitude; neighbours share their corners to the last digit."""
        longitude = CENTRE[1] + (column - COLUMNS / 2) * self._lon_step
        latitude = CENTRE[0] + (row - ROWS / 2) * self._lat_step
        return round(longitude, 6), round(latitude, 6)


def code_of(column: int, row: int) -> str:
    """The 15-digit code of one cell."""
    community_columns = STREET_COLUMNS // COMMUNITY_COLUMNS
    in_street = (column % STREET_COLUMNS) // COMMUNITY_COLUMNS + (row % STREET_ROWS) // COMMUNITY_ROWS * community_columns
    in_community = column % COMMUNITY_COLUMNS + row % COMMUNITY_ROWS * COMMUNITY_COLUMNS
    district = DISTRICTS[column // STREET_COLUMNS][0]
    return CODE.format(district=district, street=_street(column, row), community=in_street + 1, cell=in_community + 1)


def _street(column: int, row: int) -> int:
    return column // STREET_COLUMNS * (ROWS // STREET_ROWS) + row // STREET_ROWS + 1
