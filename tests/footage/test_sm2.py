"""The second signature by SM2 over SM3: as the standard's own example, as openssl makes and takes it, and over a whole package."""

import base64
import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.errors import Conflict
from gateway.evidence import sm2
from gateway.evidence.contents import INSTRUCTIONS, LIST, SECOND_PROOF, SHEET, SM_KEY, SM_SUMS, SM_SUMS_SIGNATURE, SUMS, SUMS_SIGNATURE
from gateway.evidence.verifying import verify
from gateway.footage import sm2_key
from gateway.footage.instructions import SECOND
from gateway.footage.keys import P256Signer, open_signer, rotate
from tests.footage import judges
from tests.footage.altering import WAYS, altered_packages, contents, flipped_in
from tests.footage.judges import run
from tests.footage.packages import NOW, made

pytestmark = pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("cksum")), reason="openssl or cksum is missing")

_EXAMPLE_KEY = (
    0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020,
    0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13,
)
_EXAMPLE_R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
_EXAMPLE_S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA


@pytest.fixture
def signer(tmp_path: Path) -> P256Signer:
    sm2_key.begin(tmp_path / "keys")
    return open_signer(tmp_path / "keys", now=NOW)


@pytest.fixture
def package(tmp_path: Path, signer: P256Signer) -> Path:
    return made(tmp_path / "F-1", signer)


def test_the_example_of_the_standard_fits_and_nothing_beside_it() -> None:
    """GB/T 32918.5-2017, annex A.2."""
    signature = encode_dss_signature(_EXAMPLE_R, _EXAMPLE_S)
    assert sm2.fits(_EXAMPLE_KEY, signature, b"message digest")
    assert not sm2.fits(_EXAMPLE_KEY, signature, b"message digesu")
    for r, s in (
        (_EXAMPLE_R, _EXAMPLE_S + 1),
        (_EXAMPLE_S, _EXAMPLE_R),
        (0, _EXAMPLE_S),
        (_EXAMPLE_R, 0),
        (_EXAMPLE_R + sm2._N, _EXAMPLE_S),
    ):
        assert not sm2.fits(_EXAMPLE_KEY, encode_dss_signature(r, s), b"message digest")
    assert not sm2.fits(_EXAMPLE_KEY, signature + b"\0", b"message digest")
    assert not sm2.fits(_EXAMPLE_KEY, b"", b"message digest")


def test_sm3_is_that_of_the_standard() -> None:
    """GB/T 32905-2016, annex A.1."""
    assert sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert sm2.sm3_of([b"a", b"", b"bc"]) == sm2.sm3(b"abc").hex()


def test_what_openssl_signs_fits(tmp_path: Path) -> None:
    key = sm2_key.begin(tmp_path)
    spki = base64.b64decode(b"".join(key.pem.splitlines()[1:-1]))
    for number in range(20):
        data = number.to_bytes(2)
        assert sm2.fits(sm2.read_key(spki), key.sign(data), data)
    for wrong in (spki[:-1], spki + b"\0", spki[:-1] + bytes([spki[-1] ^ 1]), b"", bytes(91)):
        with pytest.raises(ValueError, match=r"SM2 key|curve"):
            sm2.read_key(wrong)


def test_a_package_that_is_signed_twice_is_verified_by_us_and_by_the_printed_commands(package: Path, signer: P256Signer) -> None:
    checked = verify(package, trusted=signer.fingerprint)
    assert checked.altered == ()
    assert {*SECOND_PROOF, SM_KEY} <= {path.name for path in package.iterdir()}
    printed = [line.strip() for line in (package / INSTRUCTIONS).read_text("utf-8-sig").splitlines()]
    assert all(command in printed for command in SECOND)
    answers = [run(command, package) for command in SECOND]
    assert [answer.returncode for answer in answers] == [0, 0], answers
    assert answers[1].stdout.count(": OK") == len(list(package.iterdir())) - 4  # but the two lists and their signatures
    assert judges.commands_take(package, signer.fingerprint)
    assert signer.second is not None
    assert all(signer.second.fingerprint in (package / paper).read_text() for paper in (SHEET, LIST))


def test_no_altered_package_that_is_signed_twice_is_taken(package: Path, tmp_path: Path, signer: P256Signer) -> None:
    sm2_key.begin(tmp_path / "others")
    other = open_signer(tmp_path / "others", now=NOW)
    altered = altered_packages(package, (*WAYS, flipped_in(SM_SUMS, SM_SUMS_SIGNATURE, SM_KEY)), 280, seed=3, signer=signer, other=other)
    assert list(judges.taken_by_us(altered, signer.fingerprint)) == []


def test_the_second_signature_is_looked_at_even_when_the_first_fits(package: Path, tmp_path: Path, signer: P256Signer) -> None:
    """As if SHA-256 and P-256 had been broken: what they sign is made to fit, and SM2 and SM3 still tell."""
    other = sm2_key.begin(tmp_path / "others")
    for change in ("another key's signature", "a digest", "no such key"):
        altered = tmp_path / "altered"
        shutil.copytree(package, altered)
        if change == "another key's signature":
            (altered / SM_SUMS_SIGNATURE).write_bytes(other.sign((altered / SM_SUMS).read_bytes()))
        elif change == "a digest":
            told = (altered / SM_SUMS).read_bytes()
            (altered / SM_SUMS).write_bytes((b"1" if told[:1] != b"1" else b"2") + told[1:])
            (altered / SM_SUMS_SIGNATURE).write_bytes(signer.second.sign((altered / SM_SUMS).read_bytes()))  # type: ignore[union-attr]  # it has one
        else:
            (altered / SM_SUMS_SIGNATURE).write_bytes(b"")
        (altered / SUMS).write_bytes(_sums(altered))
        (altered / SUMS_SIGNATURE).write_bytes(signer.sign((altered / SUMS).read_bytes()))
        (found,) = verify(altered).altered
        assert found.name == SM_SUMS, change
        shutil.rmtree(altered)


def _sums(folder: Path) -> bytes:
    names = sorted(contents(folder).keys() - {SUMS, SUMS_SIGNATURE})
    return subprocess.run(["sha256sum", "-b", *names], cwd=folder, check=True, capture_output=True, timeout=120).stdout


def test_without_a_key_for_it_nothing_is_signed_twice(tmp_path: Path) -> None:
    package = made(tmp_path / "F-1", open_signer(tmp_path / "keys", now=NOW))
    assert not {*SECOND_PROOF, SM_KEY} & {path.name for path in package.iterdir()}
    (package / SM_SUMS).write_bytes(b"")
    assert [found.name for found in verify(package).altered] == [SM_SUMS]


def test_the_key_is_private_and_stays_when_the_other_one_is_rotated(tmp_path: Path) -> None:
    first = sm2_key.begin(tmp_path)
    assert (tmp_path / "evidence-sm2.key").stat().st_mode & 0o777 == 0o600
    assert dataclasses.astuple(rotate(tmp_path, now=NOW).second) == dataclasses.astuple(first)  # type: ignore[call-overload]  # it has one
    second = sm2_key.begin(tmp_path)
    kept = {path.stem for path in (tmp_path / "sm2-keys").iterdir()}
    assert kept == {first.fingerprint, second.fingerprint}
    (tmp_path / "evidence-sm2.key").write_text("rubbish")
    with pytest.raises(Conflict) as refused:
        open_signer(tmp_path, now=NOW)
    assert refused.value.code == "evidence-key"
