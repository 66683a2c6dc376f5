"""The quirk book itself: whole, told as it is, and the same to the gateway and to the simulators."""

from pathlib import Path

import pytest

from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.quirks import Book
from gateway.errors import InvalidInput
from simulators.quirks import QuirkBook
from tests.quirks import table
from tests.quirks.broken import BROKEN

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


@pytest.fixture(scope="module")
def book() -> Book:
    return Book.load(CONFIGS / "quirks.yaml")


@pytest.fixture(scope="module")
def profiles() -> Profiles:
    return Profiles.load(CONFIGS / "profiles")


def test_the_book_has_the_28_quirks_and_each_that_applies_can_be_seen_to_matter(book: Book) -> None:
    assert list(book.quirks) == [f"Q{number}" for number in range(1, 29)]
    assert set(BROKEN) == {quirk for quirk, entry in book.quirks.items() if entry.applies}


def test_each_switch_stands_in_a_profile_with_its_source(book: Book, profiles: Profiles) -> None:
    told = {name for profile in profiles.by_name.values() for name in profile.quirks.by_switch}
    assert {name for entry in book.quirks.values() for name in entry.switches} - told == set()


def test_the_page_is_what_the_data_says(book: Book, profiles: Profiles) -> None:
    assert (ROOT / "docs" / "quirks.md").read_text("utf-8").strip() == table.page(book, profiles).strip()


def test_gateway_and_simulators_read_the_same_of_every_profile(profiles: Profiles) -> None:
    simulated = QuirkBook.load(CONFIGS)
    for name, profile in profiles.by_name.items():
        told = {one.switch: dict(one.parameters) for one in profile.quirks.by_switch.values()}
        assert {switch: dict(given) for switch, given in simulated.models[name].quirks.items()} == told


@pytest.mark.parametrize(
    ("quirks", "complaint"),
    [
        ("{no-such-switch: {source: a thread}}", "a quirks.no-such-switch: the quirk book has no such switch"),
        ("{lock-out: {}}", "a.yaml quirks.lock-out.source: Field required"),
        ("{lock-out: {source: a thread, tries: 3}}", "a quirks.lock-out.tries: it has attempts, minutes"),
        ("{lock-out: {source: a thread, attempts: many}}", "a quirks.lock-out.attempts: is a number, such as 5"),
    ],
)
def test_a_profile_with_a_wrong_quirk_is_refused_with_its_place(tmp_path: Path, quirks: str, complaint: str) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "quirks.yaml").write_text((CONFIGS / "quirks.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "profiles" / "a.yaml").write_text(f"profile: a\nquirks: {quirks}\n", "utf-8")
    with pytest.raises(InvalidInput) as raised:
        Profiles.load(tmp_path / "profiles")
    assert [f"{fault.where}: {fault.why}" for fault in raised.value.faults] == [complaint]
