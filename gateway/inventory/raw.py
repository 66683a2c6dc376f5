"""The one raw form of every import file: rows of a noun, each with the place where it stands, nothing checked yet."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

RawValue = str | list[str] | list[list[list[float]]]
"""Text, a list of texts, or the rings of a polygon as [longitude, latitude] pairs (RFC 7946 order)."""


class Noun(StrEnum):
    """What a row is about; also the name of the YAML list, the XLSX sheet and the value of the CSV column `noun`."""

    GROUPS = "groups"
    DEVICES = "devices"
    CHANNELS = "channels"
    ZONES = "zones"
    AREAS = "areas"
    SIGHTS = "sights"
    BINDINGS = "bindings"


NOUNS = frozenset(noun.value for noun in Noun)

COLUMNS: Mapping[Noun, tuple[str, ...]] = {
    Noun.GROUPS: ("id", "name", "latitude", "longitude", "street", "district"),
    Noun.DEVICES: (
        *("id", "kind", "name", "address", "onvif_port", "rtsp_port", "snmp_port", "sip_port", "group", "cell"),
        *("latitude", "longitude", "owner", "management_unit", "maintainer", "vendor", "model", "serial", "firmware", "profile"),
        *("gb28181_id", "mac", "endpoint", "uplink", "uplink_port", "audio_output_of", "horns", "enabled"),
        *("username", "password", "snmp_version", "snmp_community", "snmp_write_community", "snmp_user"),
        *("snmp_auth_protocol", "snmp_auth_key", "snmp_priv_protocol", "snmp_priv_key"),
    ),
    Noun.CHANNELS: ("recorder", "number", "camera", "recording_token"),
    Noun.ZONES: ("id", "name", "speakers", "multicast"),
    Noun.AREAS: ("code", "name", "district", "street", "level", "rings"),
    Noun.SIGHTS: ("camera", "preset", "bearing", "distance_m"),
    Noun.BINDINGS: ("camera", "preset", "speaker", "reach_m", "state", "decided_by", "decided_at", "note"),
}
REQUIRED: Mapping[Noun, tuple[str, ...]] = {
    Noun.GROUPS: ("id", "name"),
    Noun.DEVICES: ("id", "kind", "name", "address"),
    Noun.CHANNELS: ("recorder", "number", "camera"),
    Noun.ZONES: ("id", "name"),
    Noun.AREAS: ("code", "name", "level", "rings"),
    Noun.SIGHTS: ("camera", "bearing"),
    Noun.BINDINGS: ("camera", "speaker"),
}
KEYS: Mapping[Noun, tuple[str, ...]] = {
    Noun.GROUPS: ("id",),
    Noun.DEVICES: ("id",),
    Noun.CHANNELS: ("recorder", "number", "camera"),
    Noun.ZONES: ("id",),
    Noun.AREAS: ("code",),
    Noun.SIGHTS: ("camera",),
    Noun.BINDINGS: ("camera", "speaker"),
}
"""The columns that no table can do without: they tell which thing a row is about."""
SECRETS = frozenset({"password", "snmp_community", "snmp_write_community", "snmp_auth_key", "snmp_priv_key"})
"""Columns that no export and no diff ever shows."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row. `where` is for people: `line 12`, `sheet devices, row 3`, `feature 7`."""

    noun: Noun
    where: str
    values: Mapping[str, RawValue]

    def text(self, column: str) -> str:
        """The trimmed text of `column`; "" when the row lacks it or holds a list there."""
        value = self.values.get(column, "")
        return value.strip() if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Header:
    """The column names of one table, and where they stand. `noun` is None for a table in which each row names its own."""

    where: str
    noun: Noun | None
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RawFile:
    """What a file holds. `nouns` names the lists that the file has, even empty ones: only those can be pruned.

    `headers` are those of its tables; a YAML file has none, since each of its entries names its own columns.
    """

    coordinates: str = ""
    nouns: frozenset[Noun] = frozenset()
    rows: Sequence[RawRow] = field(default_factory=tuple)
    headers: Sequence[Header] = ()

    def of(self, noun: Noun) -> Iterator[RawRow]:
        return (row for row in self.rows if row.noun is noun)
