"""Kinds, states and severities are called the same wherever people read of them."""

import json
from pathlib import Path

import pytest

from gateway.domain.broadcast import DeliveryState
from gateway.domain.broadcast_ledger import DELIVERY_STATES, PATHS, RECORDING_STATES, RecordingState
from gateway.domain.devices import DeviceKind
from gateway.domain.footage import Step
from gateway.domain.health import HealthState
from gateway.domain.severity import Severity
from gateway.domain.speaking import SpeakerPath
from gateway.domain.viewing import ViewingOutcome
from gateway.domain.words import DEVICE, KINDS, SEVERITIES, STATES, noun

LOCALES = Path(__file__).parents[2] / "console" / "src" / "locales"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_console_says_the_same(language: str) -> None:
    console = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    ours = {f"kind.{kind}": said.zh if language == "zh" else said.plural for kind, said in KINDS.items()}
    ours |= {f"state.{state}": getattr(said, language) for state, said in STATES.items()}
    ours |= {f"severity.{severity}": getattr(said, language) for severity, said in SEVERITIES.items()}
    assert {name: console.get(name) for name in ours} == ours


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_console_has_words_for_every_line_of_the_custody_log_and_every_outcome_of_a_viewing(language: str) -> None:
    console = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    lines = {f"footage.did.{step}" for step in Step} | {f"footage.viewed.{outcome}" for outcome in ViewingOutcome}
    assert sorted(lines - console.keys()) == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_console_and_the_ledger_s_file_say_the_same_of_a_delivery(language: str) -> None:
    console = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    ours = {f"delivery.{state}": getattr(said, language) for state, said in DELIVERY_STATES.items()}
    assert {name: console.get(name) for name in ours} == ours
    assert (set(DELIVERY_STATES), set(PATHS), set(RECORDING_STATES)) == (set(DeliveryState), set(SpeakerPath), set(RecordingState))


def test_everything_has_its_words() -> None:
    assert (set(KINDS), set(STATES), set(SEVERITIES)) == (set(DeviceKind), set(HealthState), set(Severity))


def test_what_nobody_knows_is_a_device() -> None:
    assert [noun(kind) for kind in (None, "", "drone", "camera")] == [DEVICE, DEVICE, DEVICE, KINDS[DeviceKind.CAMERA]]
