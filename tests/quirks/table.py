"""The page `docs/quirks.md`, made from the quirk book and the profiles, so that it cannot say anything else."""

from collections.abc import Iterator

from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.quirks import Book, Entry

HEAD = """\
# Quirks of real devices

Made by `./gw quirks --table` from `configs/quirks.yaml` and `configs/profiles/`; a test compares them. *In a device*: the switches that a
simulated device can be given by its profile or by `PUT /devices/{id}/quirks/{switch}` of the [control API](simulators.md). *Learned*: what
the gateway finds out by itself and remembers for each device. `./gw quirks` runs the test of each quirk, and `./gw quirks --break Q7`
shows it failing without what the gateway does. A quirk of `onvif-base` or `snmp-base` may be met on any device: its makers are not known,
or too many. One without a profile lies in the gateway itself, or does not apply. What concerns events (Q9 to Q13, Q16) is done by the
driver; the daemon does not listen to devices yet.
"""


def page(book: Book, profiles: Profiles) -> str:
    """The whole page as Markdown."""
    return "\n".join([HEAD, "| | quirk | in a device | the gateway | learned | profiles |", "| --- | --- | --- | --- | --- | --- |",
                      *(_row(quirk, entry, profiles) for quirk, entry in book.quirks.items())])  # fmt: skip


def _row(quirk: str, entry: Entry, profiles: Profiles) -> str:
    switches = "<br>".join(f"`{name}`: {_does(switch.does, switch.parameters)}" for name, switch in entry.switches.items())
    what = entry.gateway if entry.applies else f"*does not apply:* {entry.why_not}"
    title = f"{entry.title.en} · {entry.title.zh}<br>{', '.join(entry.sources)}"
    return f"| {quirk} | {title} | {switches or '–'} | {what} | {entry.learned or '–'} | {', '.join(_having(quirk, profiles)) or '–'} |"


def _does(text: str, parameters: dict[str, bool | int | float | str]) -> str:
    usual = ", ".join(f"{name} = {value}" for name, value in parameters.items())
    return f"{text} ({usual})" if usual else text


def _having(quirk: str, profiles: Profiles) -> Iterator[str]:
    for name, profile in sorted(profiles.by_name.items()):
        if any(one.id == quirk for one in profile.quirks.by_switch.values()):
            yield name
