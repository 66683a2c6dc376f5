"""The maintained list of what may excuse an outage, as data that the operator edits, never as code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

import gateway
from gateway.errors import Fault, InvalidInput

FILE: Final = "excuses.yaml"
_LIST: Final = "excuse_kinds"


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages."""

    zh: str
    en: str


def load_kinds(path: Path) -> Mapping[str, Words]:
    """Code → wording, from the YAML file at `path`. InvalidInput when it is none."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", code="bad-register") from error
    entries = document.get(_LIST) if isinstance(document, dict) else None
    if not isinstance(entries, dict) or not entries or len(document) > 1:
        raise InvalidInput(f"{path}: expected {_LIST}, a mapping of codes to wordings", code="bad-register")
    faults = [Fault(f"{_LIST}.{code}", "expected zh: and en: with a wording each") for code, words in entries.items() if not _worded(words)]
    if faults:
        raise InvalidInput(f"{path}: {faults[0].where}: {faults[0].why}", faults=faults, code="bad-register")
    return {str(code): Words(words["zh"], words["en"]) for code, words in entries.items()}


def shipped_kinds() -> Path:
    """The list that comes with the gateway: in the wheel beside the code, in a checkout in `configs/`."""
    home = Path(gateway.__file__).parent
    return next(path for folder in (home, home.parent) if (path := folder / "configs" / FILE).exists())


def _worded(words: Any) -> bool:
    return isinstance(words, dict) and set(words) == {"zh", "en"} and all(isinstance(word, str) and word for word in words.values())
