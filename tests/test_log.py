import io
import os
from pathlib import Path

import pytest
import structlog

from gateway import log


@pytest.fixture(autouse=True)
def _undo():
    yield
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
