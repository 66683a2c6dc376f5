"""A package goes into an S3-compatible store, moto's, over its wire: in parts, whole or not at all, in little memory."""

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from demo.processes import free_port
from gateway.domain.footage import RequestId
from gateway.evidence import archive
from gateway.footage.destinations import NotSent, Parcel, key_of
from gateway.footage.to_object_store import Bucket, ObjectStoreDestination
from tests.footage.buckets import LOGIN, Shelf, Spoiler, shelf

KEY = key_of(RequestId("F-1"), "a" * 64)
LARGE = 208 << 20


@pytest.fixture
async def bucket() -> AsyncIterator[Shelf]:
    async with shelf(free_port(0)) as standing:
        yield standing


def port_of(bucket: Shelf) -> int:
    return int(bucket.endpoint.rpartition(":")[2])


def parcel(folder: Path, *sizes: int, check=lambda: None) -> Parcel:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.mp4" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(os.urandom(min(size, 1 << 20)) * max(1, size >> 20))
    return Parcel(paths, archive.length({path.name: path.stat().st_size for path in paths}), check=check)


async def test_what_arrives_is_the_zip_byte_for_byte_under_a_prefix(bucket: Shelf, tmp_path: Path):
    sent, there = parcel(tmp_path / "package", 20 << 20, 100), bucket.destination("city/2026")
    assert await there.size_of(KEY) is None
    await there.write(KEY, sent)
    whole = b"".join([piece async for piece in sent.pieces()])
    assert await bucket.objects() == {f"city/2026/{KEY}": hashlib.sha256(whole).hexdigest()}
    assert (await there.size_of(KEY), await there.digest_of(KEY)) == (len(whole), sent.sha256)
    assert there.where(KEY) == f"{bucket.endpoint}/evidence/city/2026/{KEY}"
    assert LOGIN.secret_key not in repr(LOGIN) + there.where()


async def test_a_sending_that_breaks_off_leaves_neither_object_nor_parts(bucket: Shelf, tmp_path: Path):
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 60:
            raise NotSent("the request ended meanwhile", code="request-ended")

    with pytest.raises(NotSent) as caught:
        await bucket.destination().write(KEY, parcel(tmp_path / "package", 40 << 20, check=check))
    assert (caught.value.code, caught.value.again) == ("request-ended", False)
    assert (await bucket.objects(), await bucket.uploads()) == ({}, 0)


async def test_a_package_that_became_shorter_is_not_put_there(bucket: Shelf, tmp_path: Path):
    sent = parcel(tmp_path / "package", 20 << 20)
    sent.size += 1
    with pytest.raises(NotSent) as caught:
        await bucket.destination().write(KEY, sent)
    assert (caught.value.code, await bucket.objects(), await bucket.uploads()) == ("package-changed", {}, 0)


async def test_a_bucket_that_is_not_there_is_refused_once_and_a_store_that_is_not_is_tried_again(bucket: Shelf, tmp_path: Path):
    sent = parcel(tmp_path / "package", 100)
    with pytest.raises(NotSent) as caught:
        await bucket.destination(bucket="another").write(KEY, sent)
    assert (caught.value.code, caught.value.again) == ("destination-refused", False)
    dead = ObjectStoreDestination("dead", Bucket(f"http://127.0.0.1:{free_port(0)}", "evidence"), lambda: LOGIN)
    with pytest.raises(NotSent) as caught:
        await dead.size_of(KEY)
    assert (caught.value.code, caught.value.again) == ("destination-unreachable", True)
    assert "http" not in str(caught.value).lower().replace("http error", "")
    assert LOGIN.secret_key not in str(caught.value)


async def test_a_bit_that_the_store_flipped_is_found_and_taken_away_and_the_next_attempt_arrives(bucket: Shelf, tmp_path: Path):
    sent, door = parcel(tmp_path / "package", 20 << 20), free_port(0)
    there = bucket.destination(door=door)
    async with Spoiler(port_of(bucket), after=2 << 20).standing(door):
        with pytest.raises(NotSent) as caught:
            await there.write(KEY, sent)
        assert (caught.value.code, caught.value.again) == ("destination-differs", True)
        assert await bucket.objects() == {}
        await there.write(KEY, sent)
    assert await bucket.objects() == {KEY: sent.sha256}


async def test_where_what_was_spoilt_may_not_be_removed_a_person_is_asked_to(bucket: Shelf, tmp_path: Path):
    door = free_port(0)
    async with Spoiler(port_of(bucket), after=2 << 20, keeping=True).standing(door):
        with pytest.raises(NotSent) as caught:
            await bucket.destination(door=door).write(KEY, parcel(tmp_path / "package", 20 << 20))
    assert (caught.value.code, caught.value.again) == ("destination-differs", False)
    assert KEY in caught.value.hint
    assert list(await bucket.objects()) == [KEY]


async def test_a_bucket_is_addressed_by_path_or_by_host(monkeypatch: pytest.MonkeyPatch):
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\nLast-Modified: Fri, 27 Nov 2026 02:00:00 GMT\r\n\r\n')
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}")  # the names stay on loopback so
        for by_host in (False, True):
            there = ObjectStoreDestination("oss", Bucket("http://oss.test:9000", "evidence", "city", by_host=by_host), lambda: LOGIN)
            assert await there.size_of("F-1.zip") == 5
            assert asked[-1] == there.where("F-1.zip")
    assert asked == ["http://oss.test:9000/evidence/city/F-1.zip", "http://evidence.oss.test:9000/city/F-1.zip"]


async def test_what_is_read_into_memory_does_not_grow_with_the_package(bucket: Shelf, tmp_path: Path):
    there = bucket.destination()
    await there.write(key_of(RequestId("F-0"), "0" * 64), parcel(tmp_path / "first", 20 << 20))  # what is loaded once is loaded
    sent = parcel(tmp_path / "package", LARGE)
    with Peak() as peak:
        await there.write(KEY, sent)
    print(f"{sent.size >> 20} MiB went out; resident memory grew by {peak.grown >> 20} MiB")
    assert sent.size >= 200_000_000
    assert peak.grown < 64 << 20
    assert await there.size_of(KEY) == sent.size


class Peak:
    """How much more resident memory this process had during the block than before it."""

    def __enter__(self) -> "Peak":
        self._before = self._most = resident()
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watching.join()

    @property
    def grown(self) -> int:
        return self._most - self._before

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self._most = max(self._most, resident())


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
