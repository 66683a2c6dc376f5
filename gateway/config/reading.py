"""Reads the settings from one YAML file and the environment, and names every fault with its line."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from gateway.config.sections import Config
from gateway.config.values import Section
from gateway.errors import Fault, InvalidInput
from gateway.yaml_file import nearest

PREFIX = "GATEWAY_"
NOT_SETTINGS = frozenset({"GATEWAY_URL", "GATEWAY_KEY", "GATEWAY_CONFIG"})  # gatewayctl's own variables, and the file's path


def load(path: Path | None, env: Mapping[str, str] = os.environ) -> Config:
    """The configuration in `path` (None: all defaults), with `GATEWAY_…` of `env` over it (`GATEWAY_HTTP__PORT=8081`).

    InvalidInput with one fault for everything that is wrong: `where` is `line 7` or the name of the variable.
    """
    config, wrong = examine(path, env)
    if wrong is not None:
        raise wrong
    assert config is not None
    return config


def examine(path: Path | None, env: Mapping[str, str] = os.environ) -> tuple[Config | None, InvalidInput | None]:
    """What `load` would return, as far as it can be had in spite of what it would raise, and that.

    None for the configuration where the file is no YAML or a value is wrong; what is said of a key that we do not know is left out of it.
    """
    reading = _Reading()
    try:
        values = reading.file(_text(path)) if path is not None else {}
    except InvalidInput as error:
        return None, error
    config = reading.validated(reading.environment(values or {}, env))
    if config is not None:
        reading.look_for_files(config)
    if not reading.faults:
        return config, None
    faults = sorted(reading.faults, key=_by_line)
    message = f"{path or 'the environment'}: {len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
    return config if values is not None else None, InvalidInput(message, faults=faults, code="bad-config")


Path_ = tuple[str, ...]
_FILES: tuple[Path_, ...] = (
    ("store_password_file",),
    ("alerts_file",),
    *(("mqtt", name) for name in ("password_file", "ca_file", "cert_file", "key_file")),
    ("footage", "register_file"),
    ("reports", "excuses_file"),
    ("broadcast", "hours_file"),
    ("broadcast", "holidays_file"),
    ("discovery", "logins_file"),
)
"""The settings that name a file which must be there; the store's key is made where there is none."""


class _Reading:
    """One reading of a file and an environment: where each key stands, and what is wrong."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._where: dict[Path_, str] = {}

    def file(self, text: str) -> dict[str, Any] | None:
        """The values in `text`, None where it is no mapping; keys that we do not know, or know twice, become faults and are left out."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.faults.append(Fault(f"line {mark.line + 1 if mark else 1}", f"not YAML: {error.problem or error.context}"))
            return None
        except yaml.YAMLError as error:
            self.faults.append(Fault("line 1", f"not YAML: {error}"))
            return None
        if root is None:
            return {}
        if not isinstance(root, yaml.MappingNode):
            self.faults.append(Fault(_line(root), "the file must be a mapping of keys to values"))
            return None
        return self._mapping(root, Config, ())

    def environment(self, values: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
        """`values` with the `GATEWAY_…` variables laid over them."""
        known = {_variable(path): path for path in _settings(Config)}
        for name in sorted(env):
            if not name.startswith(PREFIX) or name in NOT_SETTINGS:
                continue
            path = known.get(name)
            if path is None:
                self.faults.append(Fault(name, f"no such setting{nearest(name, list(known))}"))
                continue
            self._where[path] = name
            _put(values, path, env[name])
        return values

    def validated(self, values: dict[str, Any]) -> Config | None:
        """The configuration; None, with faults, when a value is wrong."""
        try:
            return Config.model_validate(values)
        except ValidationError as error:
            for detail in error.errors(include_url=False, include_context=False):
                path = tuple(str(part) for part in detail["loc"])
                name = ".".join(part for part in path if part.isidentifier() and not part.startswith("function"))
                for why in _plain(detail["type"], detail["msg"]).splitlines():  # a section tells each of its mistakes in a line of its own
                    self.faults.append(Fault(self._place(path), f"{name + ': ' if name else ''}{why}"))
            return None

    def look_for_files(self, config: Config) -> None:
        """A fault for each file or folder that `config` names and that is not there."""
        for path in _FILES:
            named = reduce(getattr, path, config)
            if isinstance(named, Path) and not os.path.isfile(named):  # noqa: PTH113 -- Path.is_file raises where a folder is closed to us
                self.faults.append(Fault(self._place(path), f"{'.'.join(path)}: there is no file {named}"))
        for number, one in enumerate(config.footage.destinations):
            for name in ("access_key_file", "secret_key_file", "ca_file"):
                path = getattr(one, name)
                if path is not None and not os.path.isfile(path):  # noqa: PTH113 -- as above
                    place = self._place(("footage", "destinations", str(number), name))
                    self.faults.append(Fault(place, f"footage.destinations.{name}: there is no file {path}"))
        if config.profiles_dir is not None and not os.path.isdir(config.profiles_dir):  # noqa: PTH112 -- as above
            self.faults.append(Fault(self._place(("profiles_dir",)), f"profiles_dir: there is no folder {config.profiles_dir}"))

    def _mapping(self, node: yaml.MappingNode, model: type[BaseModel], path: Path_) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, str] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in first:
                self.faults.append(Fault(_line(key_node), f"{_dotted(path, key)} stands twice, first on {first[key]}"))
                continue
            first[key] = _line(key_node)
            if key not in model.model_fields:
                self.faults.append(Fault(_line(key_node), f"no key {_dotted(path, key)!r}{nearest(key, list(model.model_fields))}"))
                continue
            self._where[*path, key] = _line(key_node)
            values[key] = self._value(value_node, model, (*path, key))
        return values

    def _value(self, node: yaml.Node, model: type[BaseModel], path: Path_) -> Any:
        section = model.model_fields[path[-1]].annotation
        if (item := _section_of_list(section)) is not None and isinstance(node, yaml.SequenceNode):
            return [self._item(one, item, (*path, str(number))) for number, one in enumerate(node.value)]
        if not (isinstance(section, type) and issubclass(section, Section)):
            return _construct(node)
        if node.tag == "tag:yaml.org,2002:null":
            return {}  # a section of which every line is commented out
        return self._mapping(node, section, path) if isinstance(node, yaml.MappingNode) else _construct(node)

    def _item(self, node: yaml.Node, section: type[Section], path: Path_) -> Any:
        self._where[path] = _line(node)
        return self._mapping(node, section, path) if isinstance(node, yaml.MappingNode) else _construct(node)

    def _place(self, path: Path_) -> str:
        for length in range(len(path), 0, -1):
            if place := self._where.get(path[:length]):
                return place
        return "line 1"


def _section_of_list(annotation: Any) -> type[Section] | None:
    """The section of which `annotation` is a list; None for anything else."""
    item = (get_args(annotation) or (None,))[0] if get_origin(annotation) is tuple else None
    return item if isinstance(item, type) and issubclass(item, Section) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}", code="no-config", hint="copy configs/gateway.yaml and edit it") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InvalidInput(f"{path}: 1 fault", faults=[Fault(f"line {line}", "not UTF-8")], code="bad-config") from error


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _settings(model: type[BaseModel], path: Path_ = ()) -> Iterator[Path_]:
    for name, field in model.model_fields.items():
        if _section_of_list(field.annotation) is not None:
            continue  # a list of sections stands in the file alone
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _settings(field.annotation, (*path, name))
        else:
            yield (*path, name)


def _variable(path: Path_) -> str:
    return PREFIX + "__".join(path).upper()


def _put(values: dict[str, Any], path: Path_, value: str) -> None:
    for part in path[:-1]:
        inner = values.get(part)
        values = values.setdefault(part, {}) if isinstance(inner, dict) or inner is None else {}
    values[path[-1]] = value


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _dotted(path: Path_, key: str) -> str:
    return ".".join((*path, key))


_WORDS = {"model_type": "must be a section of keys", "path_type": "must be a path", "int_parsing": "must be a whole number",
          "int_from_float": "must be a whole number", "float_parsing": "must be a number"}  # fmt: skip


def _plain(kind: str, message: str) -> str:
    """pydantic's words, as we would say them."""
    if kind in _WORDS:
        return _WORDS[kind]
    message = re.sub(r"^Value error, ", "", message)
    return re.sub(r"^Input should be", "must be", message).replace("String should match", "must match")


def _by_line(fault: Fault) -> tuple[bool, int, str]:
    kind, _, number = fault.where.partition(" ")
    return (kind != "line", int(number) if kind == "line" else 0, fault.where)
