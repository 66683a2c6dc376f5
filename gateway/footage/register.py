"""The maintained lists of the footage register: kinds of case and legal bases, as data that the operator edits, never as code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

import gateway
from gateway.errors import Fault, InvalidInput

FILE: Final = "footage.yaml"
_LISTS: Final = ("case_kinds", "legal_bases")


@dataclass(frozen=True, slots=True)
class Register:
    """Code → wording of what a request may name: as papers print it, and in English, which is the same where the list has no other."""

    case_kinds: Mapping[str, str] = field(default_factory=dict)
    legal_bases: Mapping[str, str] = field(default_factory=dict)
    case_kinds_en: Mapping[str, str] = field(default_factory=dict)
    legal_bases_en: Mapping[str, str] = field(default_factory=dict)


def load_register(path: Path) -> Register:
    """The lists in the YAML file at `path`. InvalidInput when it is not two mappings of code to wording, or to `zh` and `en`."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}", code="bad-register") from error
    faults = [*_faults(document)]
    if faults:
        raise InvalidInput(f"{path}: {faults[0].where}: {faults[0].why}", faults=faults, code="bad-register")
    return Register(**{f"{name}{suffix}": wordings for name in _LISTS for suffix, wordings in _read(document[name])})


def shipped_register() -> Path:
    """The lists that come with the gateway: in the wheel beside the code, in a checkout in `configs/`."""
    home = Path(gateway.__file__).parent
    return next(path for folder in (home, home.parent) if (path := folder / "configs" / FILE).exists())


def _read(entries: Mapping[Any, str | Mapping[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """The wordings of one list, and those in English, each with the end of its name in `Register`."""
    for suffix, language in (("", "zh"), ("_en", "en")):
        yield suffix, {str(code): words if isinstance(words, str) else words[language] for code, words in entries.items()}


def _is_wording(words: object) -> bool:
    """Whether it is a wording, or one in both languages."""
    both = words if isinstance(words, dict) and words.keys() == {"zh", "en"} else {"zh": words}
    return all(isinstance(one, str) and one for one in both.values())


def _faults(document: Any) -> list[Fault]:
    if not isinstance(document, dict):
        return [Fault("file", f"expected the lists {' and '.join(_LISTS)}")]
    faults = [Fault(str(name), "unknown key") for name in document if name not in _LISTS]
    for name in _LISTS:
        entries = document.get(name)
        if not isinstance(entries, dict) or not entries or not all(map(_is_wording, entries.values())):
            faults.append(Fault(name, "expected a mapping of codes to wordings, or to a wording each as zh and en, with one code at least"))
    return faults
