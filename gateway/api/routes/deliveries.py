"""Hand-over on a sealed medium or to a configured destination, and the signed sheet that comes back."""

from pydantic import Field

from gateway.api.footage_json import PersonOut, shown_person
from gateway.api.footage_reach import opened, request_id, within
from gateway.api.models import Input, Instant, Line, OptionalLine, Output, Text
from gateway.api.routes.footage_papers import SCAN
from gateway.api.routing import Call, Routes
from gateway.domain.access import Permission
from gateway.domain.deliveries import Delivery, DeliveryId, DeliveryState, Medium, Receipt, Way
from gateway.errors import Conflict, Forbidden, InvalidInput, NotFound
from gateway.footage.handover import Sealed
from gateway.footage.sending import Consignment

routes = Routes("footage deliveries", "Footage that leaves on a sealed medium or is sent to a destination: to whom, by which hash.")


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


class SendIn(Input):
    """Who takes a package that is sent; what is left out is as the request has it."""

    receiver: OptionalLine = ""
    unit: OptionalLine = ""
    badge: OptionalLine = ""
    second_officer: OptionalLine = ""
    note: Text = ""


class DestinationOut(Output):
    """Where packages may be sent."""

    name: str
    way: Way
    where: str = Field(description="The folder, or the store's address with bucket and prefix.")
    plain_because: str = Field(description="Why it is reached without TLS; empty when it is not.")


class DestinationList(Output):
    """The destinations of the configuration."""

    items: list[DestinationOut]


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
    destination: str = Field(description="Of one that is sent: the destination's name.")
    target: str = Field(description="Of one that is sent: where the package lies there.")
    attempts: int
    size: int = Field(description="Bytes of the package's ZIP.")
    sent: int = Field(description="Bytes that are on their way or there; those of a broken attempt count no more.")
    sha256: str = Field(description="Of what was written there, once it is done.")
    outside_sha256: str = Field(
        description="Of one that failed: of a whole copy that lies at `target` all the same, since the package was sealed anew or its "
        "request ended before it was acknowledged; empty for none."
    )
    reason: str = Field(description="Why the last attempt came to nothing: its code, and a sentence.")
    begun_at: Instant | None = Field(description="When the last attempt began.")
    next_attempt_at: Instant | None = Field(description="Of one that is pending: when it is tried again; null: at once, in its turn.")
    ended_at: Instant | None
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
    return _out(call, await call.services.footage.deliveries.hand_over(request_id(call), sealed, by=call.caller.person))


@routes.op("GET", "/v1/footage-destinations", needs=Permission.FOOTAGE_READ)
async def list_footage_destinations(call: Call) -> DestinationList:
    """Where packages may be sent: footage.destinations of the configuration, without its secrets."""
    known = call.services.footage.sendings.destinations()
    return DestinationList(
        items=[DestinationOut(name=one.name, way=one.way, where=one.where(), plain_because=one.plain_because) for one in known]
    )


@routes.op(
    "POST",
    "/v1/footage-requests/{request_id}/deliveries/{destination}",
    needs=Permission.FOOTAGE_DOWNLOAD,
    status=202,
    problems=(NotFound, Conflict, Forbidden, InvalidInput),
    repeatable=True,
)
async def send_package(call: Call, body: SendIn) -> DeliveryOut:
    """Send the sealed package to a destination; when it is there, whole and compared, the request is handed over.

    The same package goes to the same destination once: asked again, the answer is the delivery that is on its way or done;
    one that waits for its next attempt is tried at once.
    """
    footage, name = call.services.footage, await within(call)
    wanted = Consignment(call.path("destination"), **body.model_dump())
    await footage.must_be_filer(name, by=call.caller.person, wish=f"send to {wanted.destination}")
    return _out(call, await footage.sendings.send(name, wanted, by=call.caller.person))


@routes.op("GET", "/v1/footage-deliveries/{delivery_id}", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def read_footage_delivery(call: Call) -> DeliveryOut:
    """One hand-over, and how far it is."""
    found = await call.services.footage.deliveries.get(DeliveryId(call.path("delivery_id")))
    await opened(call, found.request)
    return _out(call, found)


@routes.op("GET", "/v1/footage-requests/{request_id}/deliveries", needs=Permission.FOOTAGE_READ, problems=(NotFound, Forbidden))
async def list_footage_deliveries(call: Call) -> DeliveryList:
    """The hand-overs of a request; those whose signed sheet is still owed have none."""
    return DeliveryList(items=[_out(call, one) for one in await call.services.footage.deliveries.of(await opened(call))])


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
    return _out(call, await deliveries.attach_sheet(one, content, name=query.name, by=call.caller.person))


def _out(call: Call, one: Delivery) -> DeliveryOut:
    sheet, receipt, signed = one.sheet, one.receipt, None
    if sheet is not None:
        signed = SheetOut(sha256=sheet.sha256, media=sheet.kind, size=sheet.size, by=shown_person(sheet.by), at=sheet.at)
    same = ("id", "request", "way", "state", "medium", "number", "seal", "manifest_sha256", "note", "at")
    sending = ("destination", "target", "attempts", "size", "sha256", "outside_sha256", "reason", "begun_at", "ended_at")
    return DeliveryOut(
        **{name: getattr(one, name) for name in (*same, *sending)},
        **{name: getattr(receipt, name) for name in ("receiver", "unit", "badge", "second_officer")},
        sent=call.services.footage.sendings.sent(one),
        next_attempt_at=call.services.footage.sendings.next_attempt(one),
        by=shown_person(one.by),
        signed_sheet=signed,
    )
