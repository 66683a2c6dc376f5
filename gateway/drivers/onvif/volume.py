"""How loud a device's audio outputs are set (ONVIF Media 5.11 and Media2 5.3, AudioOutputConfiguration, OutputLevel)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from gateway.drivers.base import Volume
from gateway.drivers.onvif.answers import TEXT_LIMIT
from gateway.drivers.onvif.caller import Caller, deadline
from gateway.drivers.onvif.soap import MEDIA, MEDIA2, SCHEMA, Operation, child, children, text
from gateway.errors import DeviceError, NotSupported, ProtocolError

OUTPUTS_LIMIT: Final = 32
_TINY: Final = 1e-6  # what is lost in reckoning


@dataclass(frozen=True, slots=True)
class Output:
    """One audio output's configuration as the device has it, and the range of its levels."""

    token: str
    name: str
    use_count: int
    output: str
    primacy: str
    level: int
    lowest: int = 0
    highest: int = 100

    @property
    def percent(self) -> float:
        """The level in percent of the way from the lowest to the highest."""
        return 100 * (self.level - self.lowest) / (self.highest - self.lowest)

    def level_at(self, percent: float) -> int:
        """The highest level that is not louder than `percent`: that of a level's own percentage is the level."""
        return self.lowest + math.floor((self.highest - self.lowest) * max(0.0, min(100.0, percent)) / 100 + _TINY)


class Volumes:
    """The `VolumeControl` of `drivers.base` for one ONVIF device, by whichever media service lists its audio outputs."""

    def __init__(self, device: Caller) -> None:
        self._device = device
        self._service = ""
        self._outputs: Mapping[str, Output] = {}

    async def volume(self, *, timeout_s: float) -> Volume:
        async with deadline(timeout_s):
            self._outputs = {output.token: output for output in await self._read(timeout_s)}
            return Volume({output.token: output.percent for output in self._outputs.values()})

    async def set_volume(self, volume: Volume, *, timeout_s: float) -> None:
        async with deadline(timeout_s):
            if not self._outputs.keys() >= volume.percent.keys():
                await self.volume(timeout_s=timeout_s)
            for token, percent in volume.percent.items():
                output = self._outputs.get(token)
                if output is not None and output.percent != percent:
                    await self._set(output, output.level_at(percent), timeout_s)

    async def _read(self, timeout_s: float) -> list[Output]:
        """The outputs with their ranges, which are asked for once. Raises NotSupported (no-volume) where a device has none to set."""
        told, refusal = [], None
        for service in [self._service] if self._service else (MEDIA, MEDIA2):
            try:
                told = read_outputs(await self._device.call(Operation(service, "GetAudioOutputConfigurations"), timeout_s=timeout_s))
            except (NotSupported, ProtocolError) as absence:
                refusal = absence
                continue
            if told:
                self._service = service
                return [await self._ranged(output, timeout_s) for output in told]
        raise NotSupported("the device lets no volume be set", code="no-volume") from refusal

    async def _ranged(self, output: Output, timeout_s: float) -> Output:
        known = self._outputs.get(output.token)
        if known is not None:
            low, high = known.lowest, known.highest
        else:
            low, high = read_range(await self._device.call(options(self._service, output.token), timeout_s=timeout_s))
        return replace(output, lowest=min(low, output.level), highest=max(high, output.level))

    async def _set(self, output: Output, level: int, timeout_s: float) -> None:
        try:
            await self._device.call(change(self._service, output, level), timeout_s=timeout_s)
        except DeviceError:
            self._outputs = {}  # it may have others by now, or have done it all the same: ask before the next time
            raise
        self._outputs = {**self._outputs, output.token: replace(output, level=level)}


# -- what is sent -----------------------------------------------------------------------------------------------------


def options(service: str, token: str) -> Operation:
    """GetAudioOutputConfigurationOptions."""
    return _operation(service, "GetAudioOutputConfigurationOptions", f"<ns0:ConfigurationToken>{escape(token)}</ns0:ConfigurationToken>")


def change(service: str, output: Output, level: int) -> Operation:
    """SetAudioOutputConfiguration: all as it is, but for the level."""
    primacy = f"<tt:SendPrimacy>{escape(output.primacy)}</tt:SendPrimacy>" if output.primacy else ""
    inner = (
        f"<tt:Name>{escape(output.name)}</tt:Name><tt:UseCount>{output.use_count}</tt:UseCount>"
        f"<tt:OutputToken>{escape(output.output)}</tt:OutputToken>{primacy}<tt:OutputLevel>{level}</tt:OutputLevel>"
    )
    configuration = f'<ns0:Configuration xmlns:tt="{SCHEMA}" token={quoteattr(output.token)}>{inner}</ns0:Configuration>'
    lasting = "<ns0:ForcePersistence>true</ns0:ForcePersistence>" if service == MEDIA else ""
    return _operation(service, "SetAudioOutputConfiguration", configuration + lasting)


def _operation(service: str, name: str, inner: str) -> Operation:
    return Operation(service, name, f'<ns0:{name} xmlns:ns0="{service}">{inner}</ns0:{name}>'.encode())


# -- what comes back --------------------------------------------------------------------------------------------------


def read_outputs(payload: etree._Element) -> list[Output]:
    """GetAudioOutputConfigurationsResponse of either service; one without a token or a level cannot be set and is left out."""
    found = []
    for told in list(children(payload, "Configurations"))[:OUTPUTS_LIMIT]:
        token, level = told.get("token", "")[:TEXT_LIMIT], _whole(text(told, "OutputLevel"))
        if token and level is not None:
            words = (text(told, name)[:TEXT_LIMIT] for name in ("Name", "OutputToken", "SendPrimacy"))
            name, output, primacy = words
            found.append(Output(token, name, _whole(text(told, "UseCount")) or 0, output, primacy, level))
    return found


def read_range(payload: etree._Element) -> tuple[int, int]:
    """The lowest and the highest level in GetAudioOutputConfigurationOptionsResponse; 0 to 100 where it tells none that is possible."""
    told = child(payload, "Options", "OutputLevelRange")
    low, high = _whole(text(told, "Min")), _whole(text(told, "Max"))
    return (low, high) if low is not None and high is not None and low < high else (0, 100)


def _whole(told: str) -> int | None:
    """A whole number of the device's; None for what is none, or out of all reason."""
    try:
        number = int(told)
    except ValueError:
        return None
    return number if abs(number) < 1_000_000 else None
