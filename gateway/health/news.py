"""What is new about a device since it was last looked at: nothing that ails it, and worth a notice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.domain.health import CheckResult, Outcome
from gateway.health.checks.identity import IDENTITY

FIRMWARE_CHANGED = "firmware-changed"


def noticed(known: Mapping[str, Any], results: Sequence[CheckResult]) -> Sequence[CheckResult]:
    """Notices that follow from what was known (`Standing.facts`) and what was found: other firmware.

    The first look at a device tells nothing; a device that is another one than the inventory means is not compared.
    """
    return [notice for result in results if result.outcome is Outcome.OK for notice in _of(known.get(result.check), result)]


def _of(known: Mapping[str, Any] | None, result: CheckResult) -> Sequence[CheckResult]:
    if not known:
        return ()
    if result.check == IDENTITY:
        before, after = known.get("firmware"), result.facts.get("firmware")
        if before and after and before != after and known.get("serial") == result.facts.get("serial"):
            return (replace(result, reason=FIRMWARE_CHANGED, facts={"before": before, "after": after}),)
    return ()
