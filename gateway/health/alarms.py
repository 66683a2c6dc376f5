"""What devices tell of their own health by ONVIF events, as results: a state that is on is a complaint, and its end ends it."""

from collections.abc import Mapping

from gateway.domain.devices import DeviceId
from gateway.domain.health import CheckResult, Outcome
from gateway.drivers.base import DeviceEvent

ALARMS: Mapping[str, tuple[Outcome, str]] = {
    "VideoSource/SignalLoss": (Outcome.FAIL, "signal-loss"),
    "VideoSource/SignalLost": (Outcome.FAIL, "signal-loss"),
    "VideoSource/ImageTooDark": (Outcome.WARN, "picture-too-dark"),
    "VideoSource/ImageTooBright": (Outcome.WARN, "picture-too-bright"),
    "VideoSource/ImageTooBlurry": (Outcome.WARN, "picture-too-blurry"),
    "VideoSource/GlobalSceneChange": (Outcome.WARN, "scene-changed"),
    "RuleEngine/TamperDetector/Tamper": (Outcome.WARN, "tampering"),
    "Device/HardwareFailure/StorageFailure": (Outcome.FAIL, "storage-failure"),
    "Device/HardwareFailure/FanFailure": (Outcome.WARN, "fan-failure"),
    "Device/HardwareFailure/PowerSupplyFailure": (Outcome.WARN, "power-supply-failure"),
    "Device/HardwareFailure/TemperatureCritical": (Outcome.WARN, "temperature-critical"),
}
"""By the beginning of the topic (ONVIF Imaging, annex A; Core, annex; Analytics): what is told further behind is the service that tells."""


def result_of(device: DeviceId, event: DeviceEvent) -> CheckResult | None:
    """A result that counts at once, of a check of its own name (`alarm-…`); None for an event that says nothing of the device's health."""
    found = next((ALARMS[topic] for topic in ALARMS if event.topic == topic or event.topic.startswith(topic + "/")), None)
    if found is None or event.on is None:
        return None
    outcome, reason = found
    facts = {"topic": event.topic, "source": dict(event.source)}
    if not event.on:
        return CheckResult(device, f"alarm-{reason}", Outcome.OK, event.received, at_once=True)
    return CheckResult(device, f"alarm-{reason}", outcome, event.received, reason, facts, at_once=True)
