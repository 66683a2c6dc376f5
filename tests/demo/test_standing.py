"""What the demo says while it stands."""

import signal
import sys
from asyncio import create_subprocess_exec
from pathlib import Path

import pytest

from demo.city import Layout
from demo.standing import tell_of_its_end


async def test_the_demo_says_that_its_gateway_ended_and_how_it_is_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = await create_subprocess_exec(sys.executable, "-c", "import signal; signal.pause()")
    daemon.send_signal(signal.SIGKILL)
    await tell_of_its_end(daemon, Layout(tmp_path))
    assert capsys.readouterr().err == (
        f"demo: the gateway ended with -9; its log: {tmp_path}/gateway.log; start it again: ./gw run --config {tmp_path}/gateway.yaml\n"
    )
