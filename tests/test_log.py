import io
import json
import logging
import os
from pathlib import Path

import pytest
import structlog

from gateway import log


@pytest.fixture(autouse=True)
def _undo():
    root = logging.getLogger()
    before = (root.handlers, root.level)
    yield
    root.handlers, root.level = before
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_a_line_carries_its_fields_and_no_secret() -> None:
    out = io.StringIO()
    log.configure(stream=out)
    structlog.get_logger().info("met", device="cam-1", password="hunter2", url="rtsp://user:pass@127.0.0.1/")
    assert '"device": "cam-1"' in out.getvalue()
    assert "hunter2" not in out.getvalue() and "pass@" not in out.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_the_log_ends_nobody() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = os.fdopen(full, "w", closefd=False)
    log.configure(stream=stream)
    for _ in range(10):
        structlog.get_logger().error("lost", reason="x" * 1_000)
    with pytest.raises(OSError, match="No space"):
        stream.write("a line of somebody who takes no such care\n")
        stream.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), full)  # lets the stream get rid of what it still holds
    stream.close()
    os.close(full)


def lines_of(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        "b'Authorization: Bearer gwk_aaaa_hunter2\\x01'",
        "GET /v1/devices?key=gwk_aaaa_hunter2",
        "Basic aHVudGVyMhunter2",
        "login with password=hunter2 failed",
        "{'password': 'hunter2'}",
        "rtsp://admin:hunter2@127.0.0.1/",
    ],
)
def test_no_text_carries_a_secret_whoever_logs_it_and_however_deep(text: str) -> None:
    out = io.StringIO()
    log.configure(stream=out)
    structlog.get_logger().info("told", text=text, error=ValueError(text), deep=[{"deeper": (text,)}])
    logging.getLogger("aiohttp.server").error("failed: %s", text, exc_info=ValueError(text))
    assert len(lines_of(out)) == 2
    assert "hunter2" not in out.getvalue()


def test_a_library_gets_a_bounded_number_of_lines_and_the_log_says_how_many_were_left_out() -> None:
    out = io.StringIO()
    log.configure(stream=out)
    for number in range(100):
        logging.getLogger("noisy").error("again", extra={"number": number})
    logging.getLogger("quiet").warning("once")
    assert len(lines_of(out)) == log.FOREIGN_PER_MINUTE + 1
    later = logging.LogRecord("quiet", logging.WARNING, "", 0, "later", (), None)
    later.created += 61
    logging.getLogger("quiet").handle(later)
    assert lines_of(out)[-1]["left_out"] == 100 - log.FOREIGN_PER_MINUTE


def test_a_line_whose_arguments_do_not_fit_is_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    log.configure(stream=out)
    logging.getLogger("clumsy").error("%d apples", "hunter2")
    assert [line["text"] for line in lines_of(out)] == ["%d apples"]
    assert capsys.readouterr().err == ""


def test_of_a_long_text_both_ends_are_kept() -> None:
    out = io.StringIO()
    log.configure(stream=out)
    structlog.get_logger().info("long", text="first " + "x" * 100_000 + " last")
    assert len(out.getvalue()) < 3_000
    assert "first" in out.getvalue() and "last" in out.getvalue()
