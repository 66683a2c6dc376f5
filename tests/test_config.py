import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.config import Config, Footage, Mqtt, Section, load
from gateway.errors import InvalidInput
from gateway.offline import check

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "configs" / "gateway.yaml"
BAD = sorted((HERE / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_just_the_faults_that_its_comments_name(path: Path) -> None:
    expected = [line[2:] for line in path.read_text().splitlines() if line.startswith("# line")]
    with pytest.raises(InvalidInput) as caught:
        load(path, {})
    assert [f"{fault.where}: {fault.why}" for fault in caught.value.faults] == expected
    assert "hunter2" not in str(caught.value)


def test_the_example_holds_the_defaults() -> None:
    assert load(EXAMPLE, {}) == Config()


def test_the_example_names_every_key() -> None:
    keys = set(re.findall(r"^ *(?:# )?([a-z_]+):", EXAMPLE.read_text(), re.MULTILINE))
    assert [key for key in _keys(Config) if key not in keys] == []


def test_without_a_file_the_defaults_hold() -> None:
    assert load(None, {"PATH": "/bin"}) == Config()


def test_a_file_with_nothing_in_it_gives_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("# all left out\nmqtt:\n  # url: mqtt://127.0.0.1\n")
    assert load(tmp_path / "gateway.yaml", {}) == Config()


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("http: {port: 1}\nlog_level: debug\n")
    config = load(tmp_path / "gateway.yaml", {"GATEWAY_HTTP__PORT": "8081", "GATEWAY_STORE": "postgresql:///gateway"})
    assert (config.http.port, config.log_level, config.store) == (8081, "debug", "postgresql:///gateway")


def test_a_misspelt_variable_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput) as caught:
        load(None, {"GATEWAY_HTTP__PROT": "1", "GATEWAY_LOGLEVEL": "debug"})
    assert [(fault.where, fault.why) for fault in caught.value.faults] == [
        ("GATEWAY_HTTP__PROT", "no such setting; did you mean GATEWAY_HTTP__PORT?"),
        ("GATEWAY_LOGLEVEL", "no such setting; did you mean GATEWAY_LOG_LEVEL?"),
    ]


def test_a_wrong_value_in_the_environment_is_named_by_its_variable() -> None:
    with pytest.raises(InvalidInput) as caught:
        load(None, {"GATEWAY_FOOTAGE__WORKERS": "many"})
    assert [(fault.where, fault.why) for fault in caught.value.faults] == [
        ("GATEWAY_FOOTAGE__WORKERS", "footage.workers: must be a whole number")
    ]


def test_the_clients_own_variables_are_no_settings() -> None:
    assert load(None, {"GATEWAY_URL": "http://127.0.0.1:8080", "GATEWAY_KEY": "gwk_x"}) == Config()


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        load(tmp_path / "none.yaml", {})


def test_a_file_that_is_not_utf8_says_on_which_line(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_bytes(b"http:\n  host: \xff\n")
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path / "gateway.yaml", {})
    assert caught.value.faults[0].where == "line 2"


def test_the_stores_password_comes_from_its_file_and_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p@ss/word\n")
    config = Config(store="postgresql://gateway@db:5432/gateway", store_password_file=tmp_path / "password")
    assert config.store_url() == "postgresql://gateway:p%40ss%2Fword@db:5432/gateway"
    assert "p@ss" not in repr(config)


def test_without_a_store_the_file_is_in_the_data_folder() -> None:
    assert Config(data_dir=Path("/srv/gw")).store_url() == "sqlite:////srv/gw/gateway.db"


def test_an_empty_password_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    with pytest.raises(InvalidInput, match="is empty"):
        Config(store="postgresql://gateway@db/gateway", store_password_file=tmp_path / "password").store_url()


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "0.0.0.0", "localhost", "gw-1.city.example", "gateway_1", "::1"])
def test_a_host_is_an_address_or_a_name(host: str) -> None:
    assert load(None, {"GATEWAY_HTTP__HOST": host}).http.host == host


@pytest.mark.parametrize("host", ["", " ", "a b", "-a", "a-", "a..b", "1.2.3", "256.1.1.1", "x" * 64, "http://a", "a:80"])
def test_anything_else_is_no_host(host: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load(None, {"GATEWAY_HTTP__HOST": host})
    assert [fault.why for fault in caught.value.faults] == ["http.host: must be a host name or an IP address"]


def test_the_key_is_in_the_data_folder_when_nobody_says_otherwise() -> None:
    assert Config(data_dir=Path("/srv/gw")).store_key() == Path("/srv/gw/store-key")
    assert len(Config(data_dir=Path()).store_key().parts) > 1  # never a bare name, which means a credential
    assert Config(key_file=Path("store-key")).store_key() == Path("store-key")


# -- what `check-config` reads beyond the file itself -----------------------------------------------------------------


def test_an_alerts_file_with_faults_is_refused_by_the_check(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text("routes:\n  - {name: all, channels: [nowhere]}\n")
    with pytest.raises(InvalidInput) as caught:
        check(Config(data_dir=tmp_path / "data", alerts_file=tmp_path / "alerts.yaml"))
    assert caught.value.faults[0].where == "line 2"


def test_good_settings_pass_the_check_and_nothing_is_made(tmp_path: Path) -> None:
    check(Config(data_dir=tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://relative", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_that_serve_would_refuse_is_refused_by_the_check(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(Config(store=url, data_dir=tmp_path))
    assert caught.value.code == "bad-store-url"


def test_what_the_named_files_hold_is_judged_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch(0o600)
    for config, code in (
        (Config(data_dir=tmp_path, key_file=tmp_path / "empty"), "bad-key"),
        (Config(data_dir=tmp_path, key_file=Path("store-key")), "no-key"),
        (Config(data_dir=tmp_path, profiles_dir=tmp_path), "invalid-profile"),
        (Config(data_dir=tmp_path, footage=Footage(register_file=tmp_path / "empty")), "bad-register"),
        (Config(data_dir=tmp_path, mqtt=Mqtt(url="mqtt://b", username="u", password_file=tmp_path / "empty")), "no-secret"),
    ):
        with pytest.raises(InvalidInput) as caught:
            check(config)
        assert caught.value.code == code


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _keys(field.annotation)
