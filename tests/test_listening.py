"""A port that cannot be listened on ends the start with the reason and what to do, and no traceback."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import Conflict
from gateway.listening import must_be_free, telling_listening_errors

ROOT = Path(__file__).parent.parent


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_a_free_port_is_free_and_stays_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    await must_be_free("127.0.0.1", port)
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", port)
    server.close()


async def test_a_port_in_use_is_named_with_what_to_do(taken: int) -> None:
    with pytest.raises(Conflict, match=f"port {taken} of 127.0.0.1 is in use") as caught:
        await must_be_free("127.0.0.1", taken)
    assert (caught.value.code, caught.value.hint) == ("cannot-listen", "stop the other program, or set http.port")


async def test_an_address_of_another_machine_is_named_so() -> None:
    with pytest.raises(Conflict, match="not an address of this machine"):
        await must_be_free("192.0.2.1", 8080)


def test_an_error_that_is_not_about_listening_passes() -> None:
    with pytest.raises(FileNotFoundError), telling_listening_errors("127.0.0.1", 80):
        Path("/nope").read_text()


def test_the_daemon_ends_at_once_when_its_port_is_in_use(tmp_path: Path, taken: int) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(f"data_dir: {tmp_path}/data\nhttp: {{port: {taken}}}\n")
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert f"gateway: port {taken} of 127.0.0.1 is in use by another program" in done.stderr
    assert "Traceback" not in done.stderr
