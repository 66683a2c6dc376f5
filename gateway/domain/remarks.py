"""What is to be known of a delivery beside how it ended: the gateway's own remarks, in Chinese and in English."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gateway.domain.reasons import Phrase, phrase
from gateway.errors import DeadlineExceeded, DeviceError, DeviceFault, Unreachable

_SAID_SHOWN: Final = 100


class RemarkKind(StrEnum):
    """What a remark is about."""

    IDENTITY_UNLISTED = "identity-unlisted"
    HARDWARE_UNLISTED = "hardware-unlisted"
    HARDWARE_UNTOLD = "hardware-untold"
    VOLUME_FIXED = "volume-fixed"
    VOLUME_NOT_LIMITED = "volume-not-limited"
    ZONE_CAST = "zone-cast"
    END_REFUSED = "end-refused"
    END_UNANSWERED = "end-unanswered"


REMARKS: Final[Mapping[RemarkKind, Phrase]] = {
    RemarkKind.IDENTITY_UNLISTED: Phrase(
        "未核实身份：台账中既无其序列号也无硬件地址",
        "its identity was not checked: the inventory has neither its serial number nor its hardware address",
    ),
    RemarkKind.HARDWARE_UNLISTED: Phrase(
        "未核实身份：台账中没有其硬件地址", "its identity was not checked: the inventory has no hardware address of it"
    ),
    RemarkKind.HARDWARE_UNTOLD: Phrase("未核实身份：设备不报硬件地址", "its identity was not checked: it tells no hardware address"),
    RemarkKind.VOLUME_FIXED: Phrase(
        "音量未能限制到 {percent}%：网关无法设置其音量", "the volume was not limited to {percent} %: there is no way to set it"
    ),
    RemarkKind.VOLUME_NOT_LIMITED: Phrase("音量未能限制到 {percent}%：{reason}", "the volume was not limited to {percent} %: {reason}"),
    RemarkKind.ZONE_CAST: Phrase(
        "向全区的组播 {group} 只发一次，无从得知哪台音柱收到",
        "sent once to {group} for the whole zone; which loudspeaker heard it is not known",
    ),
    RemarkKind.END_REFUSED: Phrase(
        "设备拒绝结束会话：{reason}；其喊话通道可能仍被占用",
        "refused the end of the session: {reason}; it may still keep the talker's place",
    ),
    RemarkKind.END_UNANSWERED: Phrase(
        "设备未应答会话的结束：{reason}；其喊话通道可能仍被占用",
        "did not answer the end of the session: {reason}; it may still keep the talker's place",
    ),
}
"""`{reason}` is said by the phrase of the remark's reason, the other places by its values."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to be known. `reason`: the code of the error that it comes from, `said`: the device's own words with it, "" for none."""

    kind: RemarkKind
    values: Mapping[str, str | int] = field(default_factory=dict, hash=False)
    reason: str = ""
    said: str = ""

    @property
    def words(self) -> Phrase:
        """In both languages; a device's own words stay as they are, and are marked as such."""
        template, why = REMARKS[self.kind], phrase(self.reason)
        zh, en = template.zh.format(reason=why.zh, **self.values), template.en.format(reason=why.en, **self.values)
        return Phrase(f"{zh}（设备原话：{self.said}）", f"{en} (the device: {self.said})") if self.said else Phrase(zh, en)


def told_remark(remark: Remark) -> dict[str, str]:
    """A remark as readers of the API and of the event log have it: its code, and the same in words."""
    words = remark.words
    return {"remark": remark.kind.value, "remark_zh": words.zh, "remark_en": words.en}


def remark_on(error: DeviceError, kind: RemarkKind, **values: str | int) -> Remark:
    """The remark of this kind that comes from an error of a device's, with its own words as far as people should see them."""
    said = error.detail if isinstance(error, DeviceFault) else ""
    return Remark(kind, values, error.code, "".join(filter(str.isprintable, said))[:_SAID_SHOWN])


def remark_on_end(error: DeviceError) -> Remark:
    """Of a device that did not confirm the end of a session."""
    silent = isinstance(error, Unreachable | DeadlineExceeded)
    return remark_on(error, RemarkKind.END_UNANSWERED if silent else RemarkKind.END_REFUSED)
