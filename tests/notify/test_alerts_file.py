"""Each bad file is refused with just the faults that its comments name, and the example is good."""

import re
from datetime import time, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.severity import Severity
from gateway.errors import InvalidInput
from gateway.notify.alerts_file import load_alerts
from gateway.notify.channels.settings import DingTalkSettings, EmailSettings, WebhookSettings
from gateway.notify.notifier import check

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "configs" / "alerts.yaml"


@pytest.mark.parametrize("path", sorted((HERE / "bad").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_just_the_faults_that_its_comments_name(path: Path) -> None:
    expected = [line[2:] for line in path.read_text().splitlines() if line.startswith("# line")]
    with pytest.raises(InvalidInput) as caught:
        load_alerts(path)
    assert [f"{fault.where}: {fault.why}" for fault in caught.value.faults] == expected
    assert "hunter2" not in str(caught.value) + str(caught.value.faults)


def test_the_example_is_good_as_it_is_and_with_all_that_it_shows(tmp_path: Path) -> None:
    check(EXAMPLE)
    shown = re.sub(r"^(  )# {1,3}(?=[a-z-])", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [_uncommented(line) for line in EXAMPLE.read_text(encoding="utf-8").splitlines()]
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    shown = re.sub(r"/etc/city-gateway/alerts/\S+", str(secret), "\n".join(lines))
    shown = re.sub(r"^ *ca_file:.*\n", "", shown, flags=re.MULTILINE)
    whole = tmp_path / "alerts.yaml"
    whole.write_text(shown, encoding="utf-8")
    check(whole)
    alerts = load_alerts(whole)
    assert sorted({channel.kind for channel in alerts.channels.values()}) == ["dingtalk", "email", "feishu", "mqtt", "webhook", "wecom"]
    critical = alerts.routes.routes[0]
    assert (critical.on_duty, critical.goes_on, critical.remind) == (True, True, timedelta(hours=1))
    assert (critical.quiet[0].hours.start, critical.quiet[0].below) == (time(22), Severity.MAJOR)


def _uncommented(line: str) -> str:
    """Examples stand behind `  # ` at the indent of what they are an example of; prose begins with a capital letter."""
    match = re.fullmatch(r"  # ((?: *)(?:- )?[a-z_-]+:.*|  +- \{.*)", line)
    return f"  {match[1]}" if match else line


def test_every_key_stands_in_the_example() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for model in (WebhookSettings, EmailSettings, DingTalkSettings):
        for name in model.model_fields:
            assert re.search(rf"\b{name}:", text), f"{model.__name__}.{name}"


def test_hours_may_be_written_as_yaml_takes_them_for_numbers(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(
        "channels: {a: {kind: mqtt}}\nroutes:\n- {name: r, channels: [a], quiet: [{from: 22:30, to: 07:00, days: [fri-mon]}]}\n"
    )
    hours = load_alerts(path).routes.routes[0].quiet[0].hours
    assert (hours.start, hours.end, hours.days) == (time(22, 30), time(7), frozenset({4, 5, 6, 0}))


@pytest.mark.parametrize("text", ["channels: &a {x: *a}\n", "channels: {'x': &a [" + "[" * 50 + "]" * 50 + "]}\n"])
def test_a_file_without_end_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(text)
    with pytest.raises(InvalidInput, match="too large or too deep"):
        load_alerts(tmp_path / "alerts.yaml")


_words = st.sampled_from(
    ["channels", "routes", "kind", "webhook", "email", "url", "match", "quiet", "from", "22:00",
     "a", "-", ":", "[", "]", "{", "}", ",", "\n",
     "  ", "&x", "*x", "<<", "? ", "|", "!!", "null", "2026-01-01", "0x7", "'", '"', "#", "\t", "continue", "true"]
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_words, max_size=40).map(" ".join) | st.lists(_words, max_size=40).map("".join))
def test_whatever_stands_in_the_file_is_taken_or_refused_with_lines(tmp_path: Path, text: str) -> None:
    (tmp_path / "alerts.yaml").write_text(text)
    try:
        load_alerts(tmp_path / "alerts.yaml")
    except InvalidInput as error:
        assert error.faults and all(fault.where.startswith("line ") for fault in error.faults)


def test_an_empty_file_tells_nobody(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("# nothing yet\nchannels:\nroutes:\n")
    assert load_alerts(tmp_path / "alerts.yaml").routes.routes == ()
