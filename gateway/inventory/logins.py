"""The log-ins that a search may try at strangers: read from a file of their own, each with the addresses that it is for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.domain.devices import Credentials
from gateway.errors import Fault, InvalidInput
from gateway.inventory.fields import Faults, Fields
from gateway.inventory.raw import COLUMNS, Noun, RawRow
from gateway.inventory.rows import credentials_of

MOST: Final = 32
_CREDENTIALS: Final = tuple(column for column in COLUMNS[Noun.DEVICES] if column.startswith("snmp_") and column != "snmp_port")
_KEYS: Final = frozenset({"name", "ranges", "vendor", "username", "password", *_CREDENTIALS})


@dataclass(frozen=True, slots=True)
class TrialLogin:
    """A log-in that may be tried at addresses in `ranges`; with a `vendor`, only at devices that name it of themselves."""

    name: str
    ranges: tuple[IPv4Network, ...]
    credentials: Credentials
    vendor: str = ""

    @property
    def over_onvif(self) -> bool:
        return bool(self.credentials.username)

    def is_for(self, address: str, said: str = "") -> bool:
        """Whether it may be tried at `address`, where a device says `said` of itself."""
        place = IPv4Address(address)
        return any(place in network for network in self.ranges) and self.vendor.casefold() in said.casefold()


def read_logins(path: Path) -> Sequence[TrialLogin]:
    """The log-ins in a YAML list. InvalidInput names each fault, and never a secret."""
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 -- texts as they are written, and no objects
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read", code="bad-config") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "line 1"
        raise InvalidInput(f"{path}: 1 fault", faults=[Fault(where, "not YAML")], code="bad-config") from None
    if not isinstance(entries, list) or len(entries) > MOST:
        raise InvalidInput(f"{path}: must be a list of at most {MOST} log-ins", code="bad-config")
    faults = Faults()
    found = [_login(f"log-in {number}", entry, faults) for number, entry in enumerate(entries, 1)]
    names = [login.name for login in found]
    for name in sorted({name for name in names if names.count(name) > 1}):
        faults.add(name, "stands twice")
    if faults.found:
        raise InvalidInput(f"{path}: {faults.count} {'fault' if faults.count == 1 else 'faults'}", faults=faults.found, code="bad-config")
    return found


def _login(where: str, entry: Any, faults: Faults) -> TrialLogin:
    values: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    if not values:
        faults.add(where, "must be a mapping with name, ranges and a log-in")
    for key in sorted(map(str, values.keys() - _KEYS)):
        faults.add(where, f"no key {key!r}; known are {', '.join(sorted(_KEYS))}")
    texts = {key: str(value) for key, value in values.items() if key != "ranges"}
    fields = Fields(RawRow(Noun.DEVICES, where, texts), faults)
    name = fields.id("name")
    credentials = credentials_of(fields)
    if values and not name:
        faults.add(where, "name is missing")
    if values and credentials is None:
        faults.add(where, "there is neither a username nor an SNMP log-in")
    return TrialLogin(name, _ranges(where, values.get("ranges"), faults), credentials or Credentials(), fields.text("vendor"))


def _ranges(where: str, value: Any, faults: Faults) -> tuple[IPv4Network, ...]:
    found = []
    for text in value if isinstance(value, list) else [value] if value else []:
        try:
            found.append(IPv4Network(str(text)))
        except ValueError:
            faults.add(where, f"ranges: {str(text)[:40]!r} is no IPv4 range such as 10.1.0.0/16")
    if not found:
        faults.add(where, "ranges is missing: a log-in is tried nowhere else")
    return tuple(found)
