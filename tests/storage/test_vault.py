from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput, StorageFailed
from gateway.storage.vault import Vault, check_key, load_key

KEY = bytes(range(32))


@given(secret=st.binary(max_size=200), row=st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_what_is_sealed_opens_for_its_own_row(secret: bytes, row: str) -> None:
    assert Vault(KEY).open(Vault(KEY).seal(secret, bound_to=row), bound_to=row) == secret


def test_any_flipped_bit_is_noticed() -> None:
    vault = Vault(KEY)
    sealed = vault.seal(b"secret", bound_to="cam-1")
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StorageFailed):
            vault.open(bytes(forged), bound_to="cam-1")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01short"])
def test_what_is_cut_short_is_noticed(sealed: bytes) -> None:
    with pytest.raises(StorageFailed):
        Vault(KEY).open(sealed, bound_to="cam-1")


def test_another_row_or_another_key_does_not_open_it() -> None:
    sealed = Vault(KEY).seal(b"secret", bound_to="cam-1")
    with pytest.raises(StorageFailed):
        Vault(KEY).open(sealed, bound_to="cam-2")
    with pytest.raises(StorageFailed):
        Vault(bytes(32)).open(sealed, bound_to="cam-1")


def test_a_short_key_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Vault(b"short")


def test_a_made_key_can_be_read_by_its_owner_only_and_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "store-key"
    key = load_key(path, create=True, env={})
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path, create=True, env={}) == key


@pytest.mark.parametrize("content", [KEY, KEY.hex().encode(), KEY.hex().upper().encode() + b"\n"])
def test_a_key_is_raw_or_hexadecimal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    assert load_key(path, env={}) == KEY


@pytest.mark.parametrize("content", [b"", b"short", KEY + b"x", b"zz" * 32])
def test_anything_else_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="holds no key"):
        load_key(path, env={})


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o640)
    with pytest.raises(InvalidInput, match="others can read"):
        load_key(path, env={})


def test_a_missing_key_is_not_made_unasked(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no key in"):
        load_key(tmp_path / "key", env={})
    assert not (tmp_path / "key").exists()


def test_a_bare_name_is_found_among_systemds_credentials(tmp_path: Path) -> None:
    path = tmp_path / "store-key"
    path.write_bytes(KEY)
    path.chmod(0o440)  # as systemd hands it over
    assert load_key("store-key", env={"CREDENTIALS_DIRECTORY": str(tmp_path)}) == KEY


@pytest.mark.parametrize("env", [{}, {"CREDENTIALS_DIRECTORY": "/nowhere"}])
def test_a_bare_name_that_is_no_credential_is_refused_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for attempt in (lambda: load_key("store-key", create=True, env=env), lambda: check_key("store-key", env=env)):
        with pytest.raises(InvalidInput, match="no credential 'store-key'") as caught:
            attempt()
        assert "LoadCredential=store-key:" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_bare_name_does_not_mean_a_file_beside_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_key(tmp_path / "store-key", create=True, env={})
    with pytest.raises(InvalidInput, match="no credential"):
        load_key("store-key", env={})


def test_a_key_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"no key can be made in .*: File exists"):
        load_key(tmp_path / "file" / "key", create=True, env={})
    with pytest.raises(InvalidInput, match=r"no key can be made in .*: No such file"):
        load_key("/proc/nope/key", create=True, env={})


def test_a_key_is_judged_without_being_made(tmp_path: Path) -> None:
    check_key(tmp_path / "folder" / "key", env={})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch(0o600)
    with pytest.raises(InvalidInput, match="is no folder to write in"):
        check_key(tmp_path / "file" / "key", env={})
    with pytest.raises(InvalidInput, match="holds no key"):
        check_key(tmp_path / "file", env={})
