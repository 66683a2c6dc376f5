"""The inventory comes in as a file and goes out as one: shown first, then taken all or not at all."""

from typing import Literal

from aiohttp import web
from pydantic import Field

from gateway.api.models import Input, Output
from gateway.api.replies import attachment
from gateway.api.routing import Call, Media, Routes
from gateway.api.scopes import must_reach_everything
from gateway.domain.access import Permission
from gateway.errors import Conflict, Forbidden, InvalidInput

routes = Routes("inventory", "Bring devices in, take them out.")

YAML, CSV, GEOJSON = "application/yaml", "text/csv", "application/geo+json"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TYPES = {"yaml": YAML, "csv": CSV, "xlsx": XLSX, "geojson": GEOJSON}
FILES = Media((YAML, CSV, XLSX, GEOJSON, "application/json", "application/octet-stream"), limit="import_bytes")


class ImportQuery(Input):
    """How to take the file."""

    name: str = Field(min_length=1, max_length=200, description="Its name; the suffix (.yaml .csv .xlsx .geojson) says how to read it.")
    dry_run: bool = Field(default=False, description="Show what would change, and change nothing.")
    prune: bool = Field(default=False, description="Remove what the file does not name.")


class ImportOut(Output):
    """What an import changes, or changed if it was `applied`."""

    applied: bool
    file: str
    counts: dict[str, int] = Field(examples=[{"added": 3, "changed": 1, "removed": 0}])
    lines: list[str] = Field(description="The difference, a line a thing; at most 1,000.")


class ExportQuery(Input):
    """In which format."""

    format: Literal["yaml", "csv", "xlsx", "geojson"] = "yaml"


@routes.op(
    "POST",
    "/v1/inventory/imports",
    needs=Permission.INVENTORY_WRITE,
    takes=FILES,
    problems=(InvalidInput, Conflict, Forbidden),
    repeatable=True,
)
async def import_inventory(call: Call, query: ImportQuery, content: bytes) -> ImportOut:
    """Import a file of devices, groups, zones or grid cells: all of it or nothing.

    A file with faults changes nothing; `errors` of the problem names each line and why.
    """
    if not query.dry_run:
        must_reach_everything(call.caller.key)
    done = await call.services.inventory.import_file(content, query.name, actor=call.caller.actor, dry_run=query.dry_run, prune=query.prune)
    return ImportOut(applied=done.applied, file=done.file, counts=done.diff.counts(), lines=list(done.diff.lines(most=1_000)))


@routes.op("GET", "/v1/inventory/export", needs=Permission.INVENTORY_READ, answers=Media((YAML, CSV, XLSX, GEOJSON)))
async def export_inventory(call: Call, query: ExportQuery) -> web.Response:
    """The inventory as a file that can be imported again, without secrets."""
    data = await call.services.inventory.export_file(query.format)
    return attachment(data, name=f"inventory.{query.format}", content_type=TYPES[query.format])
