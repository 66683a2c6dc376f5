"""A folder takes a package wholly or not at all, and says why."""

import os
import tempfile
from pathlib import Path

import pytest

from gateway.domain.footage import RequestId
from gateway.footage.destinations import NotSent, Parcel, key_of
from gateway.footage.to_directory import DirectoryDestination
from tests.footage.test_object_store import parcel

KEY = key_of(RequestId("F-1"), "a" * 64)


class Misread(Parcel):
    """A package of which other bytes were read here than lie there."""

    sha256 = "0" * 64


async def test_what_reads_back_otherwise_does_not_get_its_name(tmp_path: Path) -> None:
    whole = parcel(tmp_path / "package", 3 << 20)
    share = DirectoryDestination("share", tmp_path, mounted=False)
    with pytest.raises(NotSent) as caught:
        await share.write(KEY, Misread(whole._paths, whole.size))
    assert (caught.value.code, caught.value.again) == ("destination-differs", True)
    assert (await share.size_of(KEY), list((tmp_path / "F-1").iterdir())) == (None, [])


TEMPORARY = Path(tempfile.gettempdir())


@pytest.mark.skipif(
    any(os.path.ismount(folder) for folder in (TEMPORARY, *TEMPORARY.parents[:-1])), reason="the folder of temporary files is a mount"
)
async def test_nothing_is_written_where_nothing_is_mounted(tmp_path: Path) -> None:
    share = DirectoryDestination("share", tmp_path, mounted=True)
    with pytest.raises(NotSent) as caught:
        await share.write(KEY, parcel(tmp_path / "package", 1 << 20))
    assert (caught.value.code, caught.value.again) == ("not-mounted", True)
    assert not (tmp_path / "F-1").exists()


async def test_a_package_for_which_there_is_no_room_is_not_begun(tmp_path: Path) -> None:
    whole = parcel(tmp_path / "package", 1 << 20)
    whole.size = 1 << 60
    share = DirectoryDestination("share", tmp_path, mounted=False)
    with pytest.raises(NotSent) as caught:
        await share.write(KEY, whole)
    assert (caught.value.code, caught.value.again) == ("destination-full", False)
    assert not (tmp_path / "F-1").exists()
