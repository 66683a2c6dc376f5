"""Ways to alter an evidence package; none leaves it as it was."""

import io
import random
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gateway.evidence.contents import MANIFEST, MANIFEST_SIGNATURE, PROOF, SUMS, SUMS_SIGNATURE, sums
from gateway.evidence.verifying import ORDER
from gateway.footage.keys import P256Signer
from tests.footage.packages import FOOTAGE, digest, made, reseal

Way = Callable[[Path, random.Random, P256Signer, P256Signer], None]
ZipWay = Callable[[bytes, random.Random], bytes]

# -- a folder ---------------------------------------------------------------------------------------------------------


def flipped(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    """One bit of one file."""
    _flip(folder / dice.choice((*FOOTAGE, *PROOF)), dice)


def flipped_in(*names: str) -> Way:
    """One bit of one of `names`."""

    def flipped(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
        _flip(folder / dice.choice(names), dice)

    return flipped


def _flip(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def truncated(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    path = folder / dice.choice((*FOOTAGE, *PROOF))
    data = path.read_bytes()
    path.write_bytes(data[: dice.randrange(len(data))])


def extended(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    with (folder / dice.choice((*FOOTAGE, *PROOF))).open("ab") as file:
        file.write(dice.choice((b"\n", b" ", b"\0", dice.randbytes(5))))


def swapped(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    first, second = (folder / name for name in dice.sample((*FOOTAGE, *PROOF), 2))
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def added(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    name = dice.choice(
        ("03_CAM-9_001.mp4", ".hidden", "manifest.json.bak", "证据.mp4", "a film.mp4", f"{MANIFEST}\n{SUMS}", "more/film.mp4")
    )
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"more")


def with_an_empty_folder(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    (folder / dice.choice((".more", "more"))).mkdir()


def missing(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    (folder / dice.choice((*FOOTAGE, *PROOF))).unlink()


def linked(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    path = folder / dice.choice((*FOOTAGE, *PROOF))
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def edited(folder: Path, dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    """A film, a name, a time or a clock's error is another, and so are the digests that tell of it; only the signatures are left."""
    manifest = (folder / MANIFEST).read_text()
    if dice.random() < 0.4:
        name = dice.choice(FOOTAGE)
        before = digest(folder / name)
        (folder / name).write_bytes(dice.randbytes((folder / name).stat().st_size))
        manifest = manifest.replace(before, digest(folder / name))
    else:
        before, after = dice.choice(
            (("王建国", "李建国"), ("423.25", "0.25"), ("21:0", "20:0"), ("李敏", ""), ('"damaged": 1', '"damaged": 0'))
        )
        manifest = manifest.replace(before, after, 1 + dice.randrange(3))
    (folder / MANIFEST).write_text(manifest)
    if dice.random() < 0.8:
        (folder / SUMS).write_bytes(listed(folder))


def exchanged(folder: Path, dice: random.Random, signer: P256Signer, _other: P256Signer) -> None:
    """Manifest, list or both, with their signatures, are those of another package that the same key signed."""
    theirs = made(folder.parent / f"{folder.name}-other", signer)
    reseal(theirs, signer, case_number=f"聊公（治）字〔2026〕{dice.randrange(2, 9_999):04d}号")
    for name in dice.choice(((MANIFEST, MANIFEST_SIGNATURE), (SUMS, SUMS_SIGNATURE), (MANIFEST, MANIFEST_SIGNATURE, SUMS, SUMS_SIGNATURE))):
        shutil.copyfile(theirs / name, folder / name)
    shutil.rmtree(theirs)


def signed_by_another(folder: Path, dice: random.Random, signer: P256Signer, other: P256Signer) -> None:
    """The signatures by another key, with the gateway's certificate; or all of it, with a certificate that is not the trusted one."""
    if dice.random() < 0.5:
        reseal(folder, other)
    else:
        (folder / SUMS_SIGNATURE).write_bytes(other.sign((folder / SUMS).read_bytes()))
        (folder / MANIFEST_SIGNATURE).write_bytes(other.sign((folder / MANIFEST).read_bytes()))


def rewritten(folder: Path, dice: random.Random, signer: P256Signer, _other: P256Signer) -> None:
    """A manifest that the right key signed and that no package may have: keys that stand twice, names out of the folder, wrong kinds."""
    text = (folder / MANIFEST).read_text()
    name = f'"{FOOTAGE[0]}"'
    text = dice.choice(
        (
            text.replace('"request": "F-1"', '"request": "F-2", "request": "F-1"'),
            text.replace('"sha256"', '"sha256": "00", "sha256"', 1),
            text.replace(name, f'"../{FOOTAGE[0]}"', 1),
            text.replace(name, f'"/etc/{dice.randrange(9)}"', 1),
            text.replace(name, '"..\\\\evil.mp4"', 1),
            text.replace(name, '"a\\u0000.mp4"', 1),
            text.replace(name, f'"./{FOOTAGE[0]}"', 1),
            text.replace(name, f'"{FOOTAGE[1]}"', 1),
            text.replace(name, f'"{MANIFEST}"', 1),
            text.replace('"size": 900', '"size": true', 1),
            text.replace('"size": 900', '"size": 900.0', 1),
            text.replace('"size": 900', '"size": NaN', 1),
            text.replace("ecdsa-p256-sha256", "none", 1),
            text.replace("evidence/1", "evidence/0", 1),
            text.replace('"cameras"', '"kameras"', 1),
            text.replace('"cameras"', '"more": {"files": {}}, "cameras"', 1),
            text.replace(
                '"cameras"', '"more": [{"files": [{"name": "hidden.mp4", "size": 1, "sha256": "' + "0" * 64 + '"}]}], "cameras"', 1
            ),
            text.replace('"cameras"', '"more": ' + "[" * 70 + "]" * 70 + ', "cameras"', 1),
            "[" * 200_000,
            "[]",
        )
    )
    assert text != (folder / MANIFEST).read_text()
    signed(folder, text.encode(), signer)


def signed(folder: Path, manifest: bytes, signer: P256Signer) -> None:
    (folder / MANIFEST).write_bytes(manifest)
    (folder / MANIFEST_SIGNATURE).write_bytes(signer.sign(manifest))
    (folder / SUMS).write_bytes(listed(folder))
    (folder / SUMS_SIGNATURE).write_bytes(signer.sign(listed(folder)))


def listed(folder: Path) -> bytes:
    """The `SUMS` that fits the files as they are now."""
    return sums({name: digest(folder / name) for name in (*FOOTAGE, *PROOF) if name not in (SUMS, SUMS_SIGNATURE)})


def manifest_signed_by_another(folder: Path, _dice: random.Random, signer: P256Signer, other: P256Signer) -> None:
    """Though the list of digests, which the right key signed, has that signature's digest."""
    (folder / MANIFEST_SIGNATURE).write_bytes(other.sign((folder / MANIFEST).read_bytes()))
    (folder / SUMS).write_bytes(listed(folder))
    (folder / SUMS_SIGNATURE).write_bytes(signer.sign(listed(folder)))


def manifest_signature_written_otherwise(folder: Path, _dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    """The other value of s, which the mathematics takes too."""
    _write_otherwise(folder / MANIFEST_SIGNATURE)


def sums_signature_written_otherwise(folder: Path, _dice: random.Random, _signer: P256Signer, _other: P256Signer) -> None:
    _write_otherwise(folder / SUMS_SIGNATURE)


def _write_otherwise(path: Path) -> None:
    first, second = decode_dss_signature(path.read_bytes())
    path.write_bytes(encode_dss_signature(first, ORDER - second))


WAYS: tuple[Way, ...] = (
    *(flipped, flipped, flipped, truncated, extended, swapped, added, missing, edited, edited, exchanged, signed_by_another),
    manifest_signature_written_otherwise,
)
"""What everybody can do, and every way to verify has to refuse."""
ODD_WAYS: tuple[Way, ...] = (linked, with_an_empty_folder, rewritten, manifest_signed_by_another, sums_signature_written_otherwise)
"""What one way to verify or the other cannot see, or only the right key could have written; ours refuses them."""


_MEMORY: Final = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class AlteredPackage:
    """A package in `folder` that is not `whole` any more."""

    number: int
    way: str
    folder: Path
    whole: Mapping[str, bytes]

    def changes(self) -> dict[str, bytes | None]:
        """What its files now are that are others than before, by their paths in it; None: gone."""
        found = contents(self.folder)
        gone = dict.fromkeys(self.whole.keys() - found.keys())
        return gone | {name: data for name, data in found.items() if self.whole.get(name) != data}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in `folder` and below, by its path there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def altered_packages(
    package: Path, ways: Sequence[Way], count: int, *, seed: int, signer: P256Signer, other: P256Signer
) -> Iterator[AlteredPackage]:
    """`count` packages altered at random, the same for every `seed`. Each lasts until the next one; in memory where that can be."""
    whole, dice = contents(package), random.Random(seed)
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else package.parent) as made_in:
        for number in range(count):
            folder = Path(made_in) / str(number) / package.name
            shutil.copytree(package, folder)
            way = ways[number % len(ways)]
            way(folder, dice, signer, other)
            yield AlteredPackage(number, way.__name__, folder, whole)
            shutil.rmtree(folder.parent)


# -- an archive -------------------------------------------------------------------------------------------------------


def zip_flipped(whole: bytes, dice: random.Random) -> bytes:
    """One bit, anywhere: of a film, a header, the directory."""
    data = bytearray(whole)
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(data)


def zip_flipped_at_the_end(whole: bytes, dice: random.Random) -> bytes:
    """One bit of the directory."""
    data = bytearray(whole)
    data[-1 - dice.randrange(900)] ^= 1 << dice.randrange(8)
    return bytes(data)


def zip_truncated(whole: bytes, dice: random.Random) -> bytes:
    return whole[: dice.randrange(len(whole))]


def zip_with_something_before(whole: bytes, dice: random.Random) -> bytes:
    return dice.randbytes(1 + dice.randrange(40)) + whole


def zip_with_something_behind(whole: bytes, dice: random.Random) -> bytes:
    return whole + dice.choice((b"\0", b"PK\5\6" + bytes(18), whole, dice.randbytes(30)))


def zip_with_a_comment(whole: bytes, _dice: random.Random) -> bytes:
    return whole[:-2] + struct.pack("<H", 4) + b"note"


def zip_with_another_file(whole: bytes, dice: random.Random) -> bytes:
    """A file more, also one that stands there already, leads out of the folder, or is another only to some systems."""
    name = dice.choice(("03_CAM.mp4", FOOTAGE[0], "../evil", "/etc/passwd", "a\\b", "sub/", "Manifest.json", "证据.mp4"))
    return _rewritten(whole, more=[(name, dice.randbytes(20))])


def zip_without_a_file(whole: bytes, dice: random.Random) -> bytes:
    return _rewritten(whole, without=dice.choice((*FOOTAGE, *PROOF)))


def zip_by_another_program(whole: bytes, dice: random.Random) -> bytes:
    """The same contents, packed otherwise."""
    return _rewritten(whole, method=dice.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)))


def zip_whose_directory_names_another(whole: bytes, dice: random.Random) -> bytes:
    """A file has one name in the directory, another before its content."""
    name = dice.choice(FOOTAGE).encode()
    at = whole.index(name) if dice.random() < 0.5 else whole.rindex(name)
    return whole[:at] + b"X" + whole[at + 1 :]


def zip_with_two_contents_changed(whole: bytes, _dice: random.Random) -> bytes:
    """Two films stand for each other."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        one, two = (archive.read(name) for name in FOOTAGE[:2])
    first, second = whole.index(one), whole.index(two)
    data = bytearray(whole)
    data[first : first + len(one)], data[second : second + len(two)] = two, one
    return bytes(data)


def zip_with_something_hidden(whole: bytes, dice: random.Random) -> bytes:
    """Bytes between the last file and the directory, whose place is told right."""
    start = struct.unpack("<I", whole[-6:-2])[0]
    hidden = dice.randbytes(1 + dice.randrange(40))
    return whole[:start] + hidden + whole[start:-6] + struct.pack("<I", start + len(hidden)) + whole[-2:]


def zip_with_a_wrong_check_value(whole: bytes, dice: random.Random) -> bytes:
    """The CRC-32 of a film is another, before it and in the directory alike: other programs would call it broken."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        right = struct.pack("<I", archive.getinfo(dice.choice(FOOTAGE)).CRC)
    return whole.replace(right, struct.pack("<I", dice.randrange(1 << 32)))


def _rewritten(whole: bytes, *, more: Sequence[tuple[str, bytes]] = (), without: str = "", method: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(made, "w", method) as other, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name stands twice is meant
        for name in archive.namelist():
            if name != without:
                other.writestr(name, archive.read(name))
        for name, data in more:
            other.writestr(name, data)
    return made.getvalue()


ZIP_WAYS: tuple[ZipWay, ...] = (
    *(zip_flipped, zip_flipped_at_the_end, zip_truncated, zip_with_something_before, zip_with_something_behind, zip_with_a_comment),
    *(zip_with_another_file, zip_without_a_file, zip_by_another_program, zip_whose_directory_names_another, zip_with_two_contents_changed),
    *(zip_with_something_hidden, zip_with_a_wrong_check_value),
)


def altered_archives(whole: bytes, count: int, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` archives, each altered at random from `whole`, and how; the same ones for every `seed`."""
    dice = random.Random(seed)
    for number in range(count):
        way = ZIP_WAYS[number % len(ZIP_WAYS)]
        yield way.__name__, way(whole, dice)
