import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import Config, Footage, Mqtt, Section, load
from gateway.datadir import held
from gateway.errors import InvalidInput
from gateway.offline import mistakes

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
    (found,) = mistakes(Config(data_dir=tmp_path / "data", alerts_file=tmp_path / "alerts.yaml"))
    assert found.faults[0].where == "line 2"


def test_good_settings_pass_the_check_and_nothing_is_made(tmp_path: Path) -> None:
    assert mistakes(Config(data_dir=tmp_path / "data")) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://relative", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_store_that_serve_would_refuse_is_refused_by_the_check(url: str, tmp_path: Path) -> None:
    assert [found.code for found in mistakes(Config(store=url, data_dir=tmp_path))] == ["bad-store-url"]


def test_what_the_named_files_hold_is_judged_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch(0o600)
    for config, code in (
        (Config(data_dir=tmp_path, key_file=tmp_path / "empty"), "bad-key"),
        (Config(data_dir=tmp_path, key_file=Path("store-key")), "no-key"),
        (Config(data_dir=tmp_path, profiles_dir=tmp_path), "invalid-profile"),
        (Config(data_dir=tmp_path, footage=Footage(register_file=tmp_path / "empty")), "bad-register"),
        (Config(data_dir=tmp_path, mqtt=Mqtt(url="mqtt://b", username="u", password_file=tmp_path / "empty")), "no-secret"),
    ):
        assert [found.code for found in mistakes(config)] == [code]


@pytest.mark.parametrize("data", ["file", "file/below/it", "locked"])
def test_a_data_folder_that_serve_cannot_use_is_refused_by_the_check(data: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "locked" / "lock").mkdir(parents=True)  # as one of another user, which root in a test could open
    (found,) = mistakes(Config(data_dir=tmp_path / data))
    assert str(found).startswith(f"the data folder {tmp_path / data} cannot be used: {tmp_path / data.partition('/')[0]}")
    assert "data_dir" in found.hint
    with pytest.raises(InvalidInput, match="cannot be used"), held(tmp_path / data):
        pass


@pytest.mark.parametrize("named", [True, False])
def test_a_store_that_is_there_and_cannot_be_written_is_refused_by_the_check(named: bool, tmp_path: Path) -> None:
    (place := tmp_path / "gateway.db").mkdir()  # as one of another user, which root in a test could open
    (found,) = mistakes(Config(store=f"sqlite:///{place}" if named else None, data_dir=tmp_path))
    assert (found.code, str(found)) == ("bad-store-url", f"no store can be in {place}: {place} cannot be written")


def test_the_check_does_not_mind_that_a_daemon_holds_the_data_folder(tmp_path: Path) -> None:
    with held(tmp_path / "data"):
        assert mistakes(Config(data_dir=tmp_path / "data")) == []


def test_the_command_names_every_mistake_of_the_file_and_of_what_it_names_at_once(tmp_path: Path) -> None:
    (tmp_path / "hours.yaml").write_text("quiet:\n  - {from: 25:00, to: 07:00}\nzone: {}\n")
    (tmp_path / "secret").touch()
    (tmp_path / "alerts.yaml").write_text(
        "channels:\n"
        + "".join(f"  {name}: {{kind: dingtalk, token_file: {tmp_path}/secret}}\n" for name in ("street", "duty"))
        + "routes: [{name: all, channels: [street, duty]}]\n"
    )
    (tmp_path / "gateway.yaml").write_text(
        f"data_dir: {tmp_path}/secret\nstore: sqlite:///{tmp_path}/secret/gateway.db\nalert_file: {tmp_path}/alerts.yaml\n"
        f"alerts_file: {tmp_path}/alerts.yaml\nprofiles_dir: {tmp_path}/none\n"
        f"broadcast:\n  hours_file: {tmp_path}/hours.yaml\n  holidays_file: {tmp_path}/none.yaml\n"
        f"sip: {{exchange: 127.0.0.1, username: gateway, password_file: {tmp_path}/secret}}\n"
    )
    told = CliRunner().invoke(app, ["check-config", "--config", f"{tmp_path}/gateway.yaml"])
    assert told.exit_code == 2
    assert told.stderr.replace(str(tmp_path), "").splitlines() == [
        "gateway: /gateway.yaml: 3 faults",
        "  line 3: no key 'alert_file'; did you mean alerts_file?",
        "  line 5: profiles_dir: there is no folder /none",
        "  line 8: broadcast.holidays_file: there is no file /none.yaml",
        "gateway: the data folder /secret cannot be used: /secret is no folder to write in",
        "  make it a folder of the user that the gateway runs as (chown -R), or name another as data_dir in the configuration",
        "gateway: no store can be in /secret/gateway.db: /secret is no folder to write in",
        "  see store in the configuration, and whose file it is: it must be that of the user that the gateway runs as",
        "gateway: /hours.yaml: 2 faults",
        "  line 2: quiet.1.from: must be a time of day such as 07:30",
        "  line 3: no key 'zone'; did you mean zones?",
        "gateway: /alerts.yaml: 2 faults",
        "  channels.street: the secret in /secret is empty; write the secret into it, on one line",
        "  channels.duty: the secret in /secret is empty; write the secret into it, on one line",
        "gateway: the secret in /secret is empty",
        "  write the secret into it, on one line",
    ]


@pytest.mark.parametrize("text", ["data_dir: [", "- data_dir", "instance: no spaces"])
def test_what_cannot_be_read_is_all_that_the_command_names(text: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(text)
    env = {"GATEWAY_DATA_DIR": f"{tmp_path}/gateway.yaml"}  # which cannot be used
    told = CliRunner().invoke(app, ["check-config", "--config", f"{tmp_path}/gateway.yaml"], env=env)
    assert (told.exit_code, told.stderr.count("gateway: ")) == (2, 1)


def test_the_command_says_of_a_good_configuration_that_it_is(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(f"data_dir: {tmp_path}/data\n")
    told = CliRunner().invoke(app, ["check-config", "--config", f"{tmp_path}/gateway.yaml"])
    assert (told.exit_code, told.stdout) == (0, f"{tmp_path}/gateway.yaml: good\n")


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _keys(field.annotation)
