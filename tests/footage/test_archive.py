"""A package as one ZIP: canonical, and what other programs unpack to the same files."""

import shutil
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest

from gateway.evidence.archive import Archive, Entry, _directory, _header, length, pieces
from gateway.evidence.contents import Altered
from gateway.evidence.verifying import verify
from gateway.footage.keys import open_signer
from tests.footage.packages import NOW, made, zipped

_CRC = zlib.crc32(bytes(7))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return made(tmp_path / "package", open_signer(tmp_path / "keys", now=NOW))


def test_an_archive_is_as_long_as_was_told_before_and_always_the_same(package: Path) -> None:
    whole = zipped(package)
    assert len(whole) == length({path.name: path.stat().st_size for path in package.iterdir()})
    assert whole == b"".join(pieces(sorted(package.iterdir(), reverse=True)))


@pytest.mark.interop
@pytest.mark.parametrize(
    "command", [["unzip", "-q", "A.zip", "-d", "out"], ["python3", "-m", "zipfile", "-e", "A.zip", "out"]], ids=lambda c: c[0]
)
def test_other_programs_unpack_it_to_what_was_put_into_it(package: Path, tmp_path: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / "A.zip").write_bytes(zipped(package))
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120)
    assert verify(tmp_path / "out").altered == ()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {p.name: p.read_bytes() for p in package.iterdir()}


@pytest.mark.parametrize("sizes", [[5 << 30, 7], [7, 5 << 30, 7], [(1 << 32) - 1], [(1 << 32) - 2], [3 << 30, 3 << 30, 3 << 30]])
def test_what_is_larger_than_four_gigabytes_is_read_by_us_and_by_others(tmp_path: Path, sizes: list[int]) -> None:
    entries = [Entry(f"{number}.mp4", size, _CRC if size == 7 else 77) for number, size in enumerate(sizes)]
    path = tmp_path / "large.zip"
    with path.open("wb") as file:  # the films themselves are holes
        for entry in entries:
            file.write(_header(entry))
            file.seek(entry.size, 1)
        file.write(_directory(entries))
    assert path.stat().st_size == length({entry.name: entry.size for entry in entries})
    assert {name: Archive(path).size(name) for name in Archive(path).names()} == {entry.name: entry.size for entry in entries}
    with zipfile.ZipFile(path) as archive:
        assert [(found.filename, found.file_size) for found in archive.infolist()] == [(entry.name, entry.size) for entry in entries]
        assert {archive.open(found).read(3) for found in archive.infolist()} == {b"\0\0\0"}


def test_many_thousand_files_are_read_too(tmp_path: Path) -> None:
    entries = [Entry(f"{number:06d}.mp4", 0) for number in range(70_000)]
    path = tmp_path / "many.zip"
    path.write_bytes(b"".join(map(_header, entries)) + _directory(entries))
    assert len(Archive(path).names()) == 70_000
    assert len(zipfile.ZipFile(path).namelist()) == 70_000


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\5\6" + bytes(18), b"\xff" * 22, b"\xff" * 200, bytes(5_000)])
def test_what_is_no_archive_is_refused_and_nothing_worse(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.zip").write_bytes(content)
    (altered,) = verify(tmp_path / "no.zip").altered
    assert altered.name in {"no.zip", "manifest.json"}  # an empty archive is one, and no package


def test_a_file_that_shrinks_while_it_goes_out_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(3 << 20))
    going = pieces([path])
    assert next(piece for piece in going if piece)[:4] == b"PK\3\4"
    with path.open("r+b") as file:
        file.truncate(2 << 20)
    with pytest.raises(OSError, match="became shorter"):
        list(going)


def test_the_rest_of_an_archive_is_what_follows(package: Path) -> None:
    paths = sorted(package.iterdir())
    whole = zipped(package)
    edges = [0]
    for path in paths:
        header = len(_header(Entry(path.name, path.stat().st_size)))
        edges += [edges[-1] + header, edges[-1] + header + path.stat().st_size]
    for start in {max(0, edge + off) for edge in (*edges, len(whole)) for off in (-1, 0, 1)}:
        assert b"".join(pieces(paths, start)) == whole[start:]


@pytest.mark.parametrize("start", [0, 9_000, 9_500])
def test_no_step_reads_more_than_a_piece_however_far_behind_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr("gateway.evidence.archive.PIECE", 100)
    (tmp_path / "a.mp4").write_bytes(bytes(9_000))
    (tmp_path / "b.mp4").write_bytes(bytes(1_000))
    steps = list(pieces([tmp_path / "a.mp4", tmp_path / "b.mp4"], start))
    assert max(map(len, steps)) <= 200
    assert sum(not piece for piece in steps) >= (9_000 + 1_000) / 100
    assert len(b"".join(steps)) == length({"a.mp4": 9_000, "b.mp4": 1_000}) - start


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    (tmp_path / "a.zip").write_bytes(b"".join(pieces([tmp_path / "a.mp4"])))
    with pytest.raises(Altered, match="is missing"):
        Archive(tmp_path / "a.zip").size("b.mp4")
