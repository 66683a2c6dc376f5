import hashlib
import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import StorageFailed
from gateway.storage.shelf import keep, read, replace_file, sync_folder

LOUD = os.urandom(1 << 16)
CODE = "thing-damaged"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Not there yet."""
    return tmp_path / "some" / "where"


def got(folder: Path, name: str) -> bytes:
    return read(folder, name, what="thing", code=CODE, hint="Give it again.")


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@contextmanager
def full_disk(after: int = 4_096) -> Iterator[None]:
    """No file may grow beyond `after` bytes: the kernel refuses what is written there, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("data", [b"", b"\0", b"\r\n\x1a", LOUD], ids=["empty", "one", "text", "long"])
def test_what_is_kept_is_read_under_its_hash(folder: Path, data: bytes) -> None:
    name = keep(folder, data, what="thing")
    assert name == hashlib.sha256(data).hexdigest()
    assert got(folder, name) == data
    assert keep(folder, data, what="thing") == name
    assert names_in(folder) == [name]


def test_the_folder_is_made_for_us_alone(folder: Path) -> None:
    keep(folder, LOUD, what="thing")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_nothing_is_there_after_a_full_disk_and_all_of_it_once_there_is_room(folder: Path) -> None:
    with full_disk(), pytest.raises(StorageFailed, match="the thing could not be stored: ") as failed:
        keep(folder, LOUD, what="thing")
    assert failed.value.code == "storage-failed"
    assert names_in(folder) == []
    assert got(folder, keep(folder, LOUD, what="thing")) == LOUD


def test_the_old_content_stays_when_the_new_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "count.json"
    replace_file(path, b"old")
    with full_disk(), pytest.raises(OSError, match="large"):
        replace_file(path, LOUD)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["count.json"]
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: data + b"\0"])
def test_a_damaged_file_is_told_and_is_whole_again_when_it_is_given_again(folder: Path, harm) -> None:
    name = keep(folder, LOUD, what="thing")
    (folder / name).write_bytes(harm(LOUD))
    with pytest.raises(StorageFailed, match="is not what was stored") as damaged:
        got(folder, name)
    assert (damaged.value.code, damaged.value.hint) == (CODE, "Give it again.")
    assert got(folder, keep(folder, LOUD, what="thing")) == LOUD


def test_a_file_or_folder_that_is_gone_is_told(folder: Path) -> None:
    name = hashlib.sha256(LOUD).hexdigest()
    with pytest.raises(StorageFailed, match="cannot be read: No such file") as gone:
        got(folder, name)
    assert (gone.value.code, gone.value.hint) == (CODE, "Give it again.")
    with pytest.raises(FileNotFoundError):
        replace_file(folder / "count.json", b"new")
    with pytest.raises(FileNotFoundError):
        sync_folder(folder)


def test_a_folder_whose_place_a_file_takes_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").write_bytes(b"")
    with pytest.raises(StorageFailed, match="the thing could not be stored: "):
        keep(tmp_path / "clips", LOUD, what="thing")


def test_many_at_once_do_not_disturb_each_other(folder: Path) -> None:
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: keep(folder, LOUD, what="thing"), range(64)))
    assert names == {hashlib.sha256(LOUD).hexdigest()}
    assert got(folder, names.pop()) == LOUD
    assert len(names_in(folder)) == 1
