"""An errand of the inventory as an answer."""

from pydantic import Field

from gateway.api.models import Instant, Output
from gateway.inventory.runs import Run, RunState


class RunOut(Output):
    """One errand, and how far it is."""

    id: str
    state: RunState
    by: str = Field(description="Who started it.")
    requested_at: Instant
    ended_at: Instant | None
    total: int = Field(description="How many there are to ask.")
    asked: int
    answered: int
    found: dict[str, int] = Field(description="What came of it, counted.")
    troubles: list[str] = Field(description="What went wrong, the first 50.")
    trouble_count: int


def run_out(run: Run) -> RunOut:
    fields = ("id", "state", "requested_at", "ended_at", "total", "asked", "answered", "trouble_count")
    return RunOut(**{name: getattr(run, name) for name in fields}, by=str(run.by), found=dict(run.found), troubles=list(run.troubles))
