"""Who may sit beside somebody who looks at footage."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.events import SYSTEM, Person
from gateway.domain.footage import RequestId
from gateway.domain.viewing import Viewing, ViewingId, check_viewing
from gateway.errors import Forbidden, InvalidInput
from tests.footage.desk import filing

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ASKED = filing(requester="王 建国", second_officer="李敏")


def viewing(*, supervisor: str, viewer: str = "周女士", identity: str = "371502", companions: str = "") -> Viewing:
    until = NOW + timedelta(hours=2)
    return Viewing(ViewingId("V-1"), RequestId("F-1"), viewer, identity, companions, "", Person(SYSTEM, supervisor), NOW, until)


def test_somebody_of_the_centre_supervises() -> None:
    check_viewing(viewing(supervisor="赵六", companions="钱七"), ASKED)


@pytest.mark.parametrize("supervisor", ["周女士", "王建国", "李敏", "钱七", "Sun  Ba"])
def test_nobody_who_asked_or_looks_supervises(supervisor: str) -> None:
    with pytest.raises(Forbidden, match="supervises"):
        check_viewing(viewing(supervisor=supervisor, companions="钱七、sun ba"), ASKED)


@pytest.mark.parametrize("lacking", ["viewer", "identity"])
def test_a_viewer_has_a_name_and_an_identity(lacking: str) -> None:
    with pytest.raises(InvalidInput):
        check_viewing(viewing(supervisor="赵六", **{lacking: " "}), ASKED)
