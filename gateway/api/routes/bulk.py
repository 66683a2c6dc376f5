"""One change to many devices: shown first, then made in all of them or in none."""

from pydantic import Field

from gateway.api.models import Input, OptionalLine, Text
from gateway.api.routes.inventory import ImportOut
from gateway.api.routing import Call, Routes
from gateway.api.scopes import must_reach, must_reach_group
from gateway.domain.access import Permission
from gateway.domain.devices import DeviceKind
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.inventory.bulk import Selection, chosen, edit

routes = Routes("bulk edits", "The same change to many devices.")

MOST = 20_000
NAME = "bulk edit"


class SelectIn(Input):
    """Which devices: those that fit everything that is named."""

    ids: list[OptionalLine] | None = Field(default=None, min_length=1, max_length=MOST)
    kind: DeviceKind | None = None
    group: OptionalLine | None = None
    district: OptionalLine | None = None
    vendor: OptionalLine | None = None
    model: OptionalLine | None = None


class BulkIn(Input):
    """What to change in which devices, and why."""

    select: SelectIn
    set: dict[str, str | bool | int | float] = Field(
        min_length=1,
        max_length=64,
        description="Fields as an import file calls them, with their new values; an empty one empties the field.",
    )
    comment: Text = Field(default="", description="Why; it goes into the audit record.")
    dry_run: bool = Field(default=False, description="Show what would change, and change nothing.")


class BulkOut(ImportOut):
    """What the edit changes, or changed if it was `applied`."""

    selected: int = Field(description="How many devices were meant; those that were so already are no difference.")


@routes.op(
    "POST",
    "/v1/devices/bulk",
    needs=Permission.INVENTORY_WRITE,
    problems=(InvalidInput, NotFound, Conflict),
    repeatable=True,
)
async def edit_devices(call: Call, body: BulkIn) -> BulkOut:
    """Set fields of many devices: an import of just those, so it is checked, shown and recorded as one. All of it or nothing."""
    devices = chosen(Selection(**{name: getattr(body.select, name) for name in SelectIn.model_fields}), call.services.city)
    must_reach(call.caller.key, (device.id for device in devices), call.services.city)
    if "group" in body.set:  # nobody moves a device to where his key does not reach
        must_reach_group(call.caller.key, _cell(body.set["group"]), call.services.city)
    rows = edit(devices, {name: _cell(value) for name, value in body.set.items()})
    done = await call.services.inventory.import_rows(rows, NAME, actor=call.caller.actor, comment=body.comment, dry_run=body.dry_run)
    return BulkOut(
        applied=done.applied, file=done.file, counts=done.diff.counts(), lines=list(done.diff.lines(most=1_000)), selected=len(devices)
    )


def _cell(value: str | bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
