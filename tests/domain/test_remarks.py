"""What is remarked on deliveries is said in both languages, and explained to operators."""

import string
from pathlib import Path

import pytest

from gateway.domain.remarks import REMARKS, Remark, RemarkKind, remark_on, remark_on_end
from gateway.errors import DeadlineExceeded, DeviceError, DeviceFault, Unreachable

PAGE = Path(__file__).parents[2] / "docs" / "operate" / "broadcasts.md"


@pytest.mark.parametrize("kind", RemarkKind)
def test_every_remark_is_said_in_both_languages_and_explained(kind: RemarkKind) -> None:
    zh, en = REMARKS[kind]
    assert zh and en and not zh.isascii() and en.isascii()
    assert _places(zh) == _places(en)
    assert f"`{kind}`" in PAGE.read_text(encoding="utf-8")


def _places(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


def test_a_devices_own_words_stay_as_they_are_and_are_marked_as_such() -> None:
    remark = remark_on(DeviceFault("no", code="rtsp-500", detail="{oops}\x1b[2J" + "x" * 200), RemarkKind.VOLUME_NOT_LIMITED, percent=40)
    assert remark.words.zh.startswith("音量未能限制到 40%：设备以 RTSP 500 拒绝（设备原话：{oops}[2Jxxx")
    assert remark.words.en.startswith("the volume was not limited to 40 %: answers with RTSP status 500 (the device: {oops}[2Jxxx")
    assert len(remark.said) == 100


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DeadlineExceeded("silent"), RemarkKind.END_UNANSWERED),
        (Unreachable("gone", code="reset"), RemarkKind.END_UNANSWERED),
        (DeviceFault("no", code="sip-500"), RemarkKind.END_REFUSED),
    ],
)
def test_no_answer_to_the_end_is_told_apart_from_a_refusal(error: DeviceError, kind: RemarkKind) -> None:
    assert remark_on_end(error) == Remark(kind, reason=error.code)
