"""Device models: every maker and model of the simulated city has its place, and gateway and simulators find the same one."""

from pathlib import Path

import pytest

from gateway.drivers.profiles.library import Profiles
from gateway.drivers.profiles.model import Traits
from simulators.catalogue import VENDORS
from simulators.quirks import QuirkBook

CONFIGS = Path(__file__).parents[3] / "configs"
MODELS = [
    (vendor, model, firmware)
    for vendor, maker in VENDORS.items()
    for models in (maker.bullets, maker.domes, maker.recorders, maker.speakers, maker.switches, maker.aggregation)
    for model in models
    for firmware in maker.firmwares
]


@pytest.fixture(scope="module")
def shipped() -> Profiles:
    return Profiles.load(CONFIGS / "profiles")


@pytest.fixture(scope="module")
def book() -> QuirkBook:
    return QuirkBook.load(CONFIGS)


@pytest.mark.parametrize(("vendor", "model", "firmware"), MODELS)
def test_the_gateway_and_the_simulators_find_the_same_profile_of_a_model(
    shipped: Profiles, book: QuirkBook, vendor: str, model: str, firmware: str
) -> None:
    found = shipped.match(Traits(manufacturer=vendor, model=model, firmware=firmware))
    assert found is not None
    assert found.name.startswith(vendor.lower())
    assert found.name == book.model_of(vendor=vendor, model=model, firmware=firmware)
    quirks = {switch: dict(quirk.parameters) for switch, quirk in found.quirks.by_switch.items()}
    assert quirks == book.of(vendor=vendor, model=model, firmware=firmware)


@pytest.mark.parametrize(
    ("enterprise", "profile"), [(39165, "hikvision-camera"), (50001, "hikvision-nvr"), (1004849, "dahua"), (25506, "h3c-switch")]
)
def test_a_device_that_is_known_by_snmp_alone_is_not_taken_for_a_model_that_only_onvif_tells(
    shipped: Profiles, enterprise: int, profile: str
) -> None:
    found = shipped.match(Traits(object_id=f"1.3.6.1.4.1.{enterprise}.1"))
    assert found is not None
    assert found.name == profile
