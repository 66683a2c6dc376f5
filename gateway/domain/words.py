"""What device kinds, health states and severities are called in Chinese and in English: one table for messages, reports and screens.

The console's own words, in `console/src/locales/`, are the same; a test compares them.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.domain.devices import DeviceKind
from gateway.domain.health import HealthState
from gateway.domain.severity import Severity


class Noun(NamedTuple):
    """One of a kind, and in English several of it; a device of a kind that nobody knows is a `DEVICE`."""

    zh: str
    en: str
    plural: str


class Word(NamedTuple):
    """One thing in both languages."""

    zh: str
    en: str


DEVICE: Final = Noun("设备", "device", "devices")
KINDS: Final[Mapping[str, Noun]] = {
    DeviceKind.CAMERA: Noun("摄像机", "camera", "cameras"),
    DeviceKind.SPEAKER: Noun("音柱", "loudspeaker", "loudspeakers"),
    DeviceKind.RECORDER: Noun("录像机", "recorder", "recorders"),
    DeviceKind.SWITCH: Noun("交换机", "switch", "switches"),
}
STATES: Final[Mapping[HealthState, Word]] = {
    HealthState.UP: Word("正常", "up"),
    HealthState.DEGRADED: Word("异常", "degraded"),
    HealthState.DOWN: Word("离线", "down"),
    HealthState.UNKNOWN: Word("未知", "unknown"),
}
SEVERITIES: Final[Mapping[Severity, Word]] = {
    Severity.CRITICAL: Word("紧急", "critical"),
    Severity.MAJOR: Word("重要", "major"),
    Severity.MINOR: Word("次要", "minor"),
    Severity.WARNING: Word("提示", "warning"),
}


def noun(kind: str | None) -> Noun:
    """What a device of `kind` is called."""
    return KINDS.get(kind or "", DEVICE)
