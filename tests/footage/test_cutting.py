"""Sound that comes before or after the pictures of its time, and files cut on one grid whoever begins where."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from gateway.domain.footage import TimeSource
from gateway.drivers.base import TrackDescription
from gateway.errors import NotSupported
from gateway.footage import cutting
from gateway.footage.cut_file import Finished
from gateway.footage.cutting import Cutter, Stretch
from gateway.media.depacketize import AccessUnit
from gateway.media.sound import SoundUnit, sound_track
from tests.media.video import access_unit, pictures

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
VIDEO, AUDIO = TrackDescription("video", "H264", 90_000, 96), TrackDescription("audio", "PCMA", 8_000, 8)


def picture(index: int) -> AccessUnit:
    """Picture `index` at 25 a second, a key picture every second."""
    return access_unit(pictures("H264", 50)[index % 50], index * 3_600, START + index * SECOND / 25, key=index % 25 == 0)


def sound(index: int) -> SoundUnit:
    """A second of sound, told apart by its bytes."""
    return SoundUnit(bytes((index,)) * 8_000, index * 8_000, 8_000, START + index * SECOND)


def cut(folder: Path, order: list[AccessUnit | SoundUnit], **changes: object) -> list[Finished]:
    known: dict[str, object] = {"start": START, "end": START + 60 * SECOND, "segment": 4 * SECOND, "folder": folder, "prefix": "f_"}
    cutter = Cutter(Stretch(**known | changes), VIDEO, sound_track(AUDIO))
    for unit in order:
        (cutter.add if isinstance(unit, AccessUnit) else cutter.add_sound)(unit)
    cutter.finish()
    return list(cutter.finished)


def heard(path: Path) -> list[tuple[float, int]]:
    with av.open(str(path)) as container:
        return [(float(packet.pts * packet.time_base), bytes(packet)[0]) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("lag", [-30.0, -1.5, 0.0, 1.5])
def test_sound_goes_with_the_pictures_of_its_time_however_early_or_late_it_comes(tmp_path: Path, lag: float) -> None:
    """`lag`: how many seconds after the pictures of its time."""
    arrivals = [(index / 25, picture(index)) for index in range(200)] + [(index + lag, sound(index)) for index in range(8)]
    first, second = cut(tmp_path, [unit for _, unit in sorted(arrivals, key=lambda one: one[0])])
    assert heard(tmp_path / first.name) == [(0.0, 0), (1.0, 1), (2.0, 2), (3.0, 3)]
    assert heard(tmp_path / second.name) == [(0.0, 4), (1.0, 5), (2.0, 6), (3.0, 7)]


@pytest.mark.parametrize("behind", [3.5, 8.0])
def test_sound_that_is_sent_seconds_after_its_pictures_is_in_the_file_of_its_time(tmp_path: Path, behind: float) -> None:
    arrivals = [(index / 25, picture(index)) for index in range(600)] + [(index + behind, sound(index)) for index in range(24)]
    first, second = cut(tmp_path, [unit for _, unit in sorted(arrivals, key=lambda one: one[0])], segment=12 * SECOND)
    assert [which for _, which in heard(tmp_path / first.name)] == list(range(12))
    assert [which for _, which in heard(tmp_path / second.name)] == list(range(12, 24))


def test_sound_that_is_hopelessly_late_is_left_out_and_holds_nothing_up(tmp_path: Path) -> None:
    order = [picture(index) for index in range(200)] + [sound(index) for index in range(8)]
    _, second = cut(tmp_path, order)
    assert [which for _, which in heard(tmp_path / second.name)] == [4, 5, 6, 7]


def test_whoever_fetches_the_rest_cuts_where_the_whole_was_cut(tmp_path: Path) -> None:
    whole = cut(tmp_path, [picture(index) for index in range(300)], prefix="w_")
    assert [file.runs[0][0] for file in whole] == [START, START + 4 * SECOND, START + 8 * SECOND]
    again = cut(tmp_path, [picture(index) for index in range(125, 300)], start=START + 5 * SECOND, grid=START, prefix="r_")
    assert [file.runs[0][0] for file in again] == [START + 5 * SECOND, START + 8 * SECOND]
    assert again[-1].sha256 == whole[-1].sha256


@pytest.mark.parametrize(
    ("there", "begin"),
    [(74, 75), (75, 75), (88, 75), (98, 75), (99, 100)],
    ids=["before a key", "a key", "mid-group", "the last but one", "a group"],
)
def test_what_is_there_already_is_dropped_but_for_what_the_next_picture_needs(tmp_path: Path, there: int, begin: int) -> None:
    """`there`: the last picture that is there already; `begin`: the first that is taken."""
    after = START + there * SECOND / 25
    (file,) = cut(tmp_path, [picture(index) for index in range(25, 140)], start=after, after=after, segment=60 * SECOND)
    assert (file.runs[0][0], file.frames) == (START + begin * SECOND / 25, 140 - begin)


def test_room_that_was_taken_on_the_disk_and_not_filled_is_given_back(tmp_path: Path) -> None:
    (file,) = cut(tmp_path, [picture(index) for index in range(75)])
    assert (tmp_path / file.name).stat().st_size == file.size
    assert (tmp_path / file.name).stat().st_blocks * 512 < file.size + (1 << 20)


def test_a_disk_that_takes_no_room_beforehand_holds_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: int, _begin: int, _size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    (usual,) = cut(tmp_path, [picture(index) for index in range(75)], prefix="a_")
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    (file,) = cut(tmp_path, [picture(index) for index in range(75)], prefix="b_")
    assert (tmp_path / file.name).read_bytes() == (tmp_path / usual.name).read_bytes()


def set_back(index: int, by: timedelta, *, told: bool = True) -> tuple[AccessUnit, SoundUnit | None]:
    """Picture `index`, and the sound that begins with it, on a clock that is set back after eight seconds."""
    back = by if index >= 200 else 0 * SECOND
    heard = replace(sound(index // 25), ntp=START + index // 25 * SECOND - back if told else None) if index % 25 == 0 else None
    return picture(index)._replace(ntp=START + index * SECOND / 25 - back), heard


@pytest.mark.parametrize("told", [True, False], ids=["sound with times", "sound without"])
def test_what_comes_after_the_clock_was_set_back_is_a_section_of_its_own_with_its_sound(tmp_path: Path, told: bool) -> None:
    pairs = [set_back(index, 5 * SECOND, told=told) for index in range(400)]
    files = cut(tmp_path, [unit for pair in pairs for unit in pair if unit is not None])
    assert [(file.set_backs, file.frames) for file in files] == [(0, 100), (0, 100), (1, 25), (1, 100), (1, 75)]
    begun = [(file.runs[0][0] - START) // SECOND for file in files]
    assert begun == [0, 4, 3, 4, 8]
    assert [which for file in files for _, which in heard(tmp_path / file.name)] == list(range(16))


def cut_with_sound(
    folder: Path, clock: Callable[[float], float], lag: float, silent: tuple[float, float] = (0, 0), wrong: int = -1
) -> list[Finished]:
    """Twenty-four seconds, sound in pieces of a fifth of one, late by `lag`. `clock`: the device's time; `wrong`: a picture dated early."""
    times = [clock(index / 25) - 5 * (index == wrong) for index in range(600)]
    comes: list[tuple[float, AccessUnit | SoundUnit]]
    comes = [(index / 25, picture(index)._replace(ntp=START + at * SECOND)) for index, at in enumerate(times)]
    for index in range(120):
        if not silent[0] <= index / 5 < silent[1]:
            piece = SoundUnit(bytes((index,)) * 1_600, index * 1_600, 1_600, START + clock(index / 5) * SECOND)
            comes.append((index / 5 + lag, piece))
    return cut(folder, [unit for _, unit in sorted(comes, key=lambda one: one[0])], segment=10 * SECOND)


@pytest.mark.parametrize("lag", [-4.0, 0.0, 1.5])
@pytest.mark.parametrize(
    ("by", "at", "set_backs"),
    [(1.5, 10.6, 0), (2.4, 10.6, 1), (5.0, 12.0, 1), (5.0, 16.8, 1)],
)
@pytest.mark.parametrize("silence", [(0.0, 0.0), (-5.0, 5.0), (-4.0, -0.6), (0.4, 3.0)], ids=["sound", "silent", "before", "after"])
def test_no_sound_is_lost_where_a_clock_is_set_back(
    tmp_path: Path, lag: float, by: float, at: float, set_backs: int, silence: tuple[float, float]
) -> None:
    silent = (at + silence[0], at + silence[1])
    files = cut_with_sound(tmp_path, lambda moment: moment - by * (moment >= at), lag, silent)
    assert max(file.set_backs for file in files) == set_backs
    kept = [which for file in files for _, which in heard(tmp_path / file.name)]
    assert sorted(kept) == [index for index in range(120) if not silent[0] <= index / 5 < silent[1]]


@pytest.mark.parametrize("lag", [-4.0, 0.0, 1.5])
@pytest.mark.parametrize("wrong", [200, 300, 335])
def test_one_picture_dated_early_begins_no_section_and_costs_no_sound(tmp_path: Path, lag: float, wrong: int) -> None:
    files = cut_with_sound(tmp_path, lambda moment: moment, lag, wrong=wrong)
    assert {file.set_backs for file in files} == {0}
    kept = [which for file in files for _, which in heard(tmp_path / file.name)]
    assert sorted(kept) == list(range(120))


def test_a_clock_that_is_set_far_back_ends_the_range_and_costs_no_file(tmp_path: Path) -> None:
    folder_files = [set_back(index, timedelta(days=9_000))[0] for index in range(700)]
    cutter = Cutter(Stretch(START, START + 60 * SECOND, 4 * SECOND, tmp_path, "f_"), VIDEO, None)
    for unit in folder_files:
        cutter.add(unit)
    assert cutter.over
    cutter.finish()
    assert [file.frames for file in cutter.finished] == [100, 100]


@pytest.mark.parametrize("by", [timedelta(seconds=-20), timedelta(seconds=20)], ids=["early", "late"])
def test_one_picture_of_a_wrong_time_is_no_clock_that_was_set_back(tmp_path: Path, by: timedelta) -> None:
    order = [picture(index + 750) for index in range(100)]
    order[40] = order[40]._replace(ntp=START + 31 * SECOND + by)
    files = cut(tmp_path, order)
    assert (sum(file.frames for file in files), {file.set_backs for file in files}) == (100, {0})


def test_files_are_told_in_order_and_their_parts_are_gone(tmp_path: Path) -> None:
    files = cut(tmp_path, [picture(index) for index in range(300)])
    assert [file.name for file in files] == sorted(path.name for path in tmp_path.iterdir())
    assert [file.size for file in files] == [(tmp_path / file.name).stat().st_size for file in files]


@pytest.mark.parametrize(
    ("silent", "sources"),
    [
        (range(0), ["device", "device"]),
        (range(200), ["reckoned", "reckoned"]),
        (range(1), ["reckoned", "device"]),
        (range(1, 200), ["device", "device"]),
    ],
    ids=["told", "never told", "told late", "told once"],
)
def test_a_file_says_whether_the_recorder_told_its_times(tmp_path: Path, silent: range, sources: list[str]) -> None:
    """`silent`: the pictures without a time of their own."""
    files = cut(tmp_path, [picture(index)._replace(ntp=None) if index in silent else picture(index) for index in range(200)])
    assert [file.time_source for file in files] == [TimeSource(source) for source in sources]


def test_what_a_recorder_replays_from_long_before_the_range_is_left_out(tmp_path: Path) -> None:
    """Up to ten seconds before it may be there: no recorder begins at another picture than a key frame."""
    begun = START + 40 * SECOND
    (file,) = cut(tmp_path, [picture(index) for index in range(44 * 25)], start=begun, end=begun + 4 * SECOND)
    assert file.runs == ((begun - 10 * SECOND, begun + 4 * SECOND),)


def test_the_key_frame_that_the_range_is_decoded_from_is_kept_however_early_it_is(tmp_path: Path) -> None:
    begun = START + 45 * SECOND
    order = [picture(index)._replace(key=index in (0, 30 * 25)) for index in range(50 * 25)]
    (file,) = cut(tmp_path, order, start=begun, end=begun + 4 * SECOND)
    assert file.runs == ((START + 30 * SECOND, begun + 4 * SECOND),)
    with av.open(str(tmp_path / file.name)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 19 * 25


def test_a_recorder_that_plays_from_its_beginning_whatever_it_is_asked_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(NotSupported) as caught:
        cut(tmp_path, [picture(index) for index in range(500)], start=START + timedelta(days=3), end=START + timedelta(days=4))
    assert caught.value.code == "range-ignored"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", [True, False])
def test_one_picture_of_a_wrong_time_amid_the_range_costs_no_picture(tmp_path: Path, key: bool) -> None:
    order = [picture(index) for index in range(100)]
    wrong = 50 if key else 51
    order[wrong] = order[wrong]._replace(ntp=START - timedelta(days=9_000))
    assert sum(file.frames for file in cut(tmp_path, order)) == 100


def test_a_recorder_whose_clock_stands_still_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_MOST_BYTES", 10_000)
    with pytest.raises(NotSupported) as caught:
        cut(tmp_path, [picture(index)._replace(ntp=START) for index in range(10_000)])
    assert caught.value.code == "too-many-bytes"
