from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.broadcast import BroadcastId, Delivery, DeliveryState, Figures
from gateway.domain.devices import DeviceId
from gateway.domain.talk import TalkBounds, TalkEnd, TalkTimes, over, why_over

BOUNDS = TalkBounds(silent_s=15, lost_s=2, longest_s=120)
moments = st.floats(0, 1_000)


def delivery(state: DeliveryState, reason: str = "", packets: int = 0) -> Delivery:
    return Delivery(BroadcastId("b"), DeviceId("s"), state, datetime(2026, 1, 1, tzinfo=UTC), reason, Figures(packets=packets))


@given(moments, moments, moments, st.none() | moments, moments)
def test_a_talk_goes_on_only_while_frames_come_and_it_is_neither_silent_nor_too_long(
    begun: float, frame: float, voice: float, on_air: float | None, now: float
) -> None:
    why = over(TalkTimes(begun, frame, voice, on_air), BOUNDS, now)
    assert (why is TalkEnd.LOST) == (now - frame >= 2)
    if why is None and on_air is not None:
        assert now - on_air < 120
        assert now - max(voice, on_air) < 15
    if on_air is None:
        assert why in {None, TalkEnd.LOST}


def test_nobody_need_speak_before_anybody_hears_it() -> None:
    assert over(TalkTimes(0, last_frame=99, last_voice=0), BOUNDS, 100) is None
    assert over(TalkTimes(0, last_frame=99, last_voice=0, on_air=90), BOUNDS, 100) is None
    assert over(TalkTimes(0, last_frame=105, last_voice=0, on_air=90), BOUNDS, 105) is TalkEnd.SILENT


def test_the_reason_is_that_of_who_was_heard_before_that_of_who_was_not() -> None:
    busy = delivery(DeliveryState.FAILED, "busy")
    heard = delivery(DeliveryState.PREEMPTED, "preempted", packets=50)
    assert why_over([busy, busy, heard]) == "preempted"
    assert why_over([busy, delivery(DeliveryState.DONE)]) == "busy"
    assert why_over([delivery(DeliveryState.DONE)]) == ""
