"""Messages about single events, past the bundles of incidents: what each is made of, and how one is written for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial
from typing import Any

from gateway.domain.alerting import Kind
from gateway.domain.severity import Severity
from gateway.notify.wording import WORDS, Notice, plain, severity_in

_LINE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message for `channels`, sent once by its `id`. `content`: plain JSON of which it is written when it goes out.

    `route`: what stands for one in the delivery log; `about`: the ids of what it tells of; `key`: where its content stands in the store.
    """

    id: str
    key: str
    route: str
    kind: Kind
    severity: Severity
    about: tuple[str, ...]
    content: Mapping[str, Any]
    channels: Sequence[str]
    at: datetime


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language (`zh`, `en`) and time zone in which a message is written."""

    language: str
    zone: tzinfo

    @property
    def chinese(self) -> bool:
        return self.language == "zh"

    def either(self, zh: str, en: str) -> str:
        return zh if self.chinese else en

    def line(self, zh: str, en: str, value: str) -> str:
        """`value` behind what it is called."""
        return f"{self.either(f'{zh}:', f'{en}: ')}{plain(value, _LINE)}"

    def listed(self, values: Sequence[str]) -> str:
        return self.either("、", ", ").join(values)

    def moment(self, at: str, form: str = "%Y-%m-%d %H:%M:%S") -> str:
        """A time of ISO 8601 as people of this zone read it."""
        return f"{datetime.fromisoformat(at).astimezone(self.zone):{form}}"

    def severity(self, severity: str) -> str:
        return severity_in(self.language, Severity(severity))


def of_step(
    content: Mapping[str, Any],
    message: str,
    language: str,
    zone: tzinfo,
    *,
    noun: str,
    kind: Kind,
    title: Callable[[Mapping[str, Any], Tongue], str],
    lines: Callable[[Mapping[str, Any], Tongue], Iterator[str]],
) -> Notice:
    """The message of this id about a step of a `noun`. `content`: has its `severity`, and is what programs get, with the noun as `kind`."""
    return written(
        message,
        {"kind": noun, **content},
        kind=kind,
        severity=content["severity"],
        language=language,
        zone=zone,
        title=partial(title, content),
        lines=partial(lines, content),
    )


def written(
    message: str,
    data: Mapping[str, Any],
    *,
    kind: Kind,
    severity: str,
    language: str,
    zone: tzinfo,
    title: Callable[[Tongue], str],
    lines: Callable[[Tongue], Iterator[str]],
) -> Notice:
    """The message of this id in `language` (`zh`, `en` or `both`); `data`: what programs get beside the id."""
    tongues = [Tongue(one, zone) for one in (("zh", "en") if language == "both" else (language,))]
    words = WORDS[tongues[0].language]
    return Notice(
        id=message,
        kind=kind,
        severity=severity,
        title=" / ".join(title(tongue) for tongue in tongues),
        lines=tuple(line for tongue in tongues for line in lines(tongue)),
        footer=(words["message"].format(id=message),),
        data={"id": message, **data},
        cut=words["cut"],
    )
