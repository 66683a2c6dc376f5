"""An evidence package is what was signed, or it is refused: by our verification and by the commands that it prints."""

import html
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.errors import Conflict
from gateway.evidence.contents import (
    CERTIFICATE,
    INSTRUCTIONS,
    LISTED,
    MANIFEST,
    PAPERS,
    PROOF,
    SHEET,
    SUMS,
    SUMS_SIGNATURE,
    sums,
)
from gateway.evidence.verifying import fingerprint, verify
from gateway.footage.instructions import LINUX, WINDOWS_OPENSSL
from gateway.footage.keys import P256Signer, known, open_signer, rotate
from tests.footage.judges import run
from tests.footage.packages import FOOTAGE, IMPORTED, NOW, digest, extended, made, reseal

TOOLS = pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("sha256sum")), reason="openssl or sha256sum is missing")


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> P256Signer:
    return open_signer(tmp_path_factory.mktemp("keys"), now=NOW)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> P256Signer:
    return open_signer(tmp_path_factory.mktemp("others"), now=NOW)


@pytest.fixture
def package(tmp_path: Path, signer: P256Signer) -> Path:
    return made(tmp_path / "package", signer)


# -- whole ------------------------------------------------------------------------------------------------------------


def test_a_whole_package_is_verified(package: Path, signer: P256Signer) -> None:
    checked = verify(package)
    assert (checked.altered, checked.certificate) == ((), fingerprint(signer.certificate))
    assert {file.name for file in checked.files} == {*FOOTAGE, *LISTED}
    colons = ":".join(checked.certificate[at : at + 2] for at in range(0, 64, 2)).upper()
    assert verify(package, trusted=colons).altered == ()


@TOOLS
def test_the_printed_commands_take_a_whole_package_and_none_that_was_altered(package: Path) -> None:
    printed = [line.strip() for line in (package / INSTRUCTIONS).read_text("utf-8-sig").splitlines() if line.startswith("    ")]
    commands = list(LINUX)
    assert [line for line in printed if line.startswith(("openssl", "sha256sum", "!"))] == [*LINUX, *WINDOWS_OPENSSL]
    assert all(html.escape(line) in (package / SHEET).read_text() for line in (*LINUX, *WINDOWS_OPENSSL))
    answers = [run(command, package) for command in commands]
    assert [answer.returncode for answer in answers] == [0, 0, 0, 0, 0], [answer.stderr for answer in answers]
    assert [answers[number].stdout for number in (0, 1, 3)] == ["Verified OK\n", "Verified OK\n", ""]
    shown = answers[4].stdout.strip().split("=")[1]
    assert shown in printed
    assert verify(package, trusted=shown).altered == ()
    assert verify(package).altered == ()  # the commands leave nothing behind
    for name in (*FOOTAGE, *PROOF[:3], *LISTED, *PAPERS):
        assert f"certutil -hashfile {name} SHA256" in printed
    (package / FOOTAGE[0]).write_bytes(b"another film")  # with its digest in the list, too: the list is signed
    (package / SUMS).write_bytes(sums({name: digest(package / name) for name in (*FOOTAGE, *PROOF) if name not in (SUMS, SUMS_SIGNATURE)}))
    assert run(commands[2], package).returncode == 0
    assert run(commands[0], package).returncode != 0


@TOOLS
def test_the_commands_for_openssl_on_windows_take_a_whole_package_and_none_that_was_altered(package: Path, tmp_path: Path) -> None:
    commands = [command.replace("%TEMP%\\", f"{tmp_path}/") for command in WINDOWS_OPENSSL]
    assert [run(command, package).stdout for command in commands[:3]] == ["", "Verified OK\n", "Verified OK\n"]
    assert verify(package).altered == ()
    (package / SUMS).write_bytes(b"0" + (package / SUMS).read_bytes())
    assert run(commands[1], package).returncode != 0


@pytest.mark.skipif(not shutil.which("certutil.exe"), reason="certutil of Windows is missing")
def test_the_printed_commands_of_windows_tell_the_digests(package: Path) -> None:
    for name in FOOTAGE:
        assert digest(package / name) in run(f"certutil.exe -hashfile {name} SHA256", package).stdout.replace(" ", "")


# -- altered ----------------------------------------------------------------------------------------------------------


def test_parts_that_a_later_version_added_are_signed_too_and_so_are_their_files(package: Path, signer: P256Signer) -> None:
    extended(package, signer)
    checked = verify(package)
    assert (checked.altered, checked.unexplained) == ((), ("holds",))
    assert IMPORTED in {file.name for file in checked.files}
    for name, before, after in (
        (IMPORTED, b"vendor", b"cousin"),
        (MANIFEST, b"2026-12-01", b"2027-12-01"),
        (MANIFEST, b"not-fetched", b"fetched"),
    ):
        whole = (package / name).read_bytes()
        (package / name).write_bytes(whole.replace(before, after))
        assert [altered.name for altered in verify(package).altered] == [name]
        (package / name).write_bytes(whole)


@pytest.mark.parametrize("name", [*FOOTAGE, *PROOF])
def test_the_altered_file_is_named(package: Path, name: str) -> None:
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 4
    (package / name).write_bytes(data)
    (altered,) = verify(package).altered
    assert (name in str(altered), "signature" in str(altered) or altered.name == name) == (True, True)


def test_a_package_that_somebody_made_anew_is_told_by_the_fingerprint_alone(package: Path, signer: P256Signer, other: P256Signer) -> None:
    (package / FOOTAGE[0]).write_bytes(b"another film")
    reseal(package, other)
    assert verify(package).altered == ()
    (altered,) = verify(package, trusted=fingerprint(signer.certificate)).altered
    assert (altered.name, altered.why) == (CERTIFICATE, "is not the one that is trusted")


# -- the key ----------------------------------------------------------------------------------------------------------


def test_the_key_is_private_and_stays(tmp_path: Path) -> None:
    first = open_signer(tmp_path / "evidence", now=NOW)
    key = tmp_path / "evidence" / "evidence.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert load_pem_private_key(key.read_bytes(), None).public_key() == first.certificate.public_key()  # type: ignore[union-attr]  # it is on P-256
    assert open_signer(tmp_path / "evidence", now=NOW + timedelta(days=3_000)).pem == first.pem


def test_a_certificate_whose_time_is_over_or_whose_key_is_gone_is_kept(tmp_path: Path) -> None:
    first = open_signer(tmp_path, now=NOW)
    second = open_signer(tmp_path, now=NOW + timedelta(days=4_000))
    assert second.certificate.public_key() == first.certificate.public_key()
    (tmp_path / "evidence.key").unlink()
    third = open_signer(tmp_path, now=NOW)
    assert third.certificate.public_key() != first.certificate.public_key()
    kept = {x509.load_pem_x509_certificate(path.read_bytes()) for path in (tmp_path / "certificates").iterdir()}
    assert kept == {first.certificate, second.certificate, third.certificate}


def test_a_rotated_key_signs_what_comes_and_what_it_followed_still_verifies(tmp_path: Path, package: Path, signer: P256Signer) -> None:
    first = open_signer(tmp_path / "evidence", now=NOW)
    second = rotate(tmp_path / "evidence", now=NOW)
    assert second.fingerprint != first.fingerprint
    assert open_signer(tmp_path / "evidence", now=NOW).pem == second.pem
    assert (tmp_path / "evidence" / "evidence.key").stat().st_mode & 0o777 == 0o600
    told = known(tmp_path / "evidence", now=NOW)
    assert [(one.fingerprint, one.current) for one in told] == [(second.fingerprint, True), (first.fingerprint, False)]
    old = made(tmp_path / "old", first)
    assert verify(old, trusted=first.fingerprint).altered == ()


def test_a_key_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    open_signer(tmp_path, now=NOW)
    (tmp_path / "evidence.key").write_bytes(b"rubbish")
    with pytest.raises(Conflict) as failed:
        open_signer(tmp_path, now=NOW)
    assert (failed.value.code, (tmp_path / "evidence.key").read_bytes()) == ("evidence-key", b"rubbish")


def test_a_package_is_plain_json_with_what_it_is_made_with(package: Path) -> None:
    told = json.loads((package / MANIFEST).read_text())
    assert told["algorithms"] == {
        "digest": "sha-256",
        "signature": "ecdsa-p256-sha256",
        "signature_encoding": "der",
        "certificate": "x509-pem",
    }
