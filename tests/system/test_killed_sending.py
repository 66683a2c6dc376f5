"""The daemon is killed in the middle of sending a package to an S3-compatible store, and started again."""

import hashlib
import os
import signal
from pathlib import Path

from demo.processes import free_port, running
from gateway.evidence.verifying import verify
from tests.api.conftest import template
from tests.footage.buckets import Gate, shelf
from tests.system.sealed import REQUEST, bucket_at, caller, configured, delivery, prepared, up
from tests.waiting import until

__all__ = ["template"]

HALF = 24 << 20


async def test_after_the_death_of_the_daemon_there_is_one_whole_object_and_the_record_tells_of_both_attempts(
    tmp_path: Path, template: Path
) -> None:
    key = await prepared(tmp_path, template)
    store, door, port = free_port(0), free_port(0), free_port(0)
    config = configured(tmp_path, port, bucket_at(f"http://127.0.0.1:{door}", tmp_path))
    gate = Gate(store, after=HALF)
    async with shelf(store) as bucket, gate.standing(door), caller(port, key) as http:
        async with running(("gateway", "serve", "--config", str(config)), log=tmp_path / "first.log", ready=False) as daemon:
            await until(lambda: up(http))
            async with http.post(f"{REQUEST}/deliveries/platform", json={}) as answer:
                made = await answer.json()
                assert answer.status == 202, made
            await gate.shut.wait()
            assert (await delivery(http, made))["state"] == "sending"
            os.kill(daemon.pid, signal.SIGKILL)
            await daemon.wait()
        assert await bucket.objects() == {}, "nothing is there before all of it is"
        gate.open()
        async with running(("gateway", "serve", "--config", str(config)), log=tmp_path / "second.log", ready=False):
            await until(lambda: up(http))
            done = await until(lambda: delivery(http, made), wanted=lambda one: one["state"] in ("done", "failed"))
            assert (done["state"], done["attempts"]) == ("done", 2), done
            name = f"F-1/F-1_{done['manifest_sha256']}.zip"
            assert await bucket.objects() == {name: done["sha256"]}
            async with http.get(f"{REQUEST}/deliveries") as answer:
                assert [(one["id"], one["state"]) for one in (await answer.json())["items"]] == [(made["id"], "done")]
            async with http.get(REQUEST) as answer:
                dossier = await answer.json()
        assert dossier["state"] == "handed-over"
        told = [(entry["step"], entry["detail"].get("attempt")) for entry in dossier["custody"]]
        assert told == [
            *(("send-asked", 0), ("send-begun", 1), ("send-broken-off", 1)),
            *(("send-begun", 2), ("handed-over", 2), ("sent", 2)),
        ]
        copy = tmp_path / "copy.zip"
        copy.write_bytes(await bucket.read(name))
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == done["sha256"]
    assert verify(copy).altered == ()
