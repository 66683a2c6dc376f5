"""Hand-over on a sealed medium, and the signed sheet that comes back."""

from pydantic import Field

from gateway.api.footage_json import PersonOut, shown_person
from gateway.api.footage_reach import request_id, within
from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Text
from gateway.api.routes.footage_papers import SCAN
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.deliveries import Delivery, DeliveryId, DeliveryState, Medium, Receipt, Way
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.footage.handover import Sealed

routes = Routes("footage deliveries", "Footage that left on a sealed medium: to whom, in whose presence, against which printed hash.")


class MediumIn(Input):
    """A sealed medium and who takes it."""

    medium: Medium
    number: Line = Field(description="What stands on the medium.")
    seal: Line = Field(description="The number of the seal.")
    receiver: Line
    unit: OptionalLine = ""
    badge: OptionalLine = ""
    second_officer: Line = Field(description="Two officers come; this one is not the receiver.")
    printed_sha256: str = Field(
        default="", pattern=r"^([0-9a-fA-F]{64})?$", description="manifest.json's hash as the receiver reads it on the sheet: compared."
    )
    note: Text = ""


class SheetQuery(Input):
    """What the scan is called."""

    name: Line = "signed-sheet"


class SheetOut(Output):
    """The scanned custody sheet with the signatures; its bytes are among the request's documents."""

    sha256: str
    media: str
    size: int
    by: PersonOut
    at: Instant


class DeliveryOut(Output):
    """One hand-over."""

    id: str
    request: str
    way: Way
    state: DeliveryState
    medium: Medium | None
    number: str
    seal: str
    receiver: str
    unit: str
    badge: str
    second_officer: str
    manifest_sha256: str = Field(description="The hash that stands on the printed sheet: what was signed for.")
    note: str
    by: PersonOut
    at: Instant
    signed_sheet: SheetOut | None = Field(description="null: the signed sheet is still owed.")


class DeliveryList(Output):
    """The hand-overs of a request, the oldest first."""

    items: list[DeliveryOut]


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/deliveries",
    needs=Permission.FOOTAGE_DOWNLOAD,
    status=201,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
    repeatable=True,
)
async def hand_over_medium(call: Call, body: MediumIn) -> DeliveryOut:
    """Record that a sealed disc, stick or disk with the package was handed over: the request is handed over with it."""
    await call.services.footage.must_be_filer(request_id(call), by=call.caller.person, wish="medium")
    receipt = Receipt(body.receiver, body.unit, body.badge, body.second_officer)
    sealed = Sealed(body.medium, body.number, body.seal, receipt, body.printed_sha256, body.note)
    return _out(await call.services.footage.deliveries.hand_over(request_id(call), sealed, by=call.caller.person))


@routes.op("GET", "/v1/footage-requests/{request_id}/deliveries", needs=Permission.FOOTAGE_READ, problems=(NotFound,))
async def list_footage_deliveries(call: Call) -> DeliveryList:
    """The hand-overs of a request; those whose signed sheet is still owed have none."""
    return DeliveryList(items=[_out(one) for one in await call.services.footage.deliveries.of(request_id(call))])


@routes.op(
    "POST",
    "/v1/footage-deliveries/{delivery_id}/signed-sheet",
    needs=Permission.FOOTAGE_DOWNLOAD,
    takes=SCAN,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
)
async def attach_signed_sheet(call: Call, query: SheetQuery, content: bytes) -> DeliveryOut:
    """Upload the scanned custody sheet with the signatures: PDF, JPEG or PNG."""
    deliveries = call.services.footage.deliveries
    one = DeliveryId(call.path("delivery_id"))
    await within(call, (await deliveries.get(one)).request)
    return _out(await deliveries.attach_sheet(one, content, name=query.name, by=call.caller.person))


def _out(one: Delivery) -> DeliveryOut:
    sheet, receipt, signed = one.sheet, one.receipt, None
    if sheet is not None:
        signed = SheetOut(sha256=sheet.sha256, media=sheet.kind, size=sheet.size, by=shown_person(sheet.by), at=sheet.at)
    same = ("id", "request", "way", "state", "medium", "number", "seal", "manifest_sha256", "note", "at")
    return DeliveryOut(
        **{name: getattr(one, name) for name in same},
        **{name: getattr(receipt, name) for name in ("receiver", "unit", "badge", "second_officer")},
        by=shown_person(one.by),
        signed_sheet=signed,
    )
