"""Evidence packages altered at random, the same ones for all who verify them: how many pass, and how long each takes to say no.

    figures.altered                   packages, and as many archives
    figures.taken_by_verify           by `gatewayctl footage verify`, whose function is asked; must be 0, as the others
    figures.taken_by_page             by verify.html in Chromium, given the files as a person chooses them
    figures.taken_by_commands         by the openssl and coreutils commands that the package prints
    figures.taken_archives_by_verify, figures.taken_archives_by_page
    figures.verify_ms, figures.page_ms, figures.commands_ms   for one, altering it included

Takes two to four minutes. Needs chromium and openssl.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.evidence.verify_page import verify_page
from gateway.evidence.verifying import verify
from gateway.footage.keys import P256Signer, open_signer
from tests.footage import judges
from tests.footage.altering import WAYS, AlteredPackage, altered_archives, altered_packages, contents
from tests.footage.packages import NOW, made, zipped
from tests.system import chromium

COUNT = 1_000
_SEED = 20260926


def measure() -> dict[str, Any]:
    """Run it all."""
    with tempfile.TemporaryDirectory(prefix="bench-evidence-") as folder:
        return {"figures": asyncio.run(_measured(Path(folder)))}


async def _measured(folder: Path) -> dict[str, Any]:
    signer, other = open_signer(folder / "keys", now=NOW), open_signer(folder / "others", now=NOW)
    package = made(folder / "F-1", signer)
    begun = time.perf_counter()
    ours = list(judges.taken_by_us(_altered(package, signer, other), signer.fingerprint))
    done = time.perf_counter()
    commands = list(judges.taken_by_the_commands(_altered(package, signer, other), signer.fingerprint))
    asked = time.perf_counter()
    whole = zipped(package)
    (folder / "verify.html").write_bytes(verify_page())
    async with chromium.browser(folder / "profile") as page:
        await judges.open_page(page, folder / "verify.html", signer.fingerprint)
        shown = time.perf_counter()
        changed = ((one.way, one.changes()) for one in _altered(package, signer, other))
        seen = await judges.taken_by_the_page(page, contents(package), changed)
        told = time.perf_counter()
        archives = ((way, {"F-1.zip": data}) for way, data in altered_archives(whole, COUNT, seed=_SEED))
        seen_archives = await judges.taken_by_the_page(page, {}, archives)
    return {
        "altered": COUNT,
        "taken_by_verify": len(ours),
        "taken_by_page": len(seen),
        "taken_by_commands": len(commands),
        "taken_archives_by_verify": sum(map(_taken, _written(folder / "F-1.zip", whole))),
        "taken_archives_by_page": len(seen_archives),
        "verify_ms": _each_ms(begun, done),
        "commands_ms": _each_ms(done, asked),
        "page_ms": _each_ms(shown, told),
    }


def _altered(package: Path, signer: P256Signer, other: P256Signer) -> Iterator[AlteredPackage]:
    return altered_packages(package, WAYS, COUNT, seed=_SEED, signer=signer, other=other)


def _written(path: Path, whole: bytes) -> Iterator[Path]:
    """The altered archives, one after the other in one place."""
    for _, data in altered_archives(whole, COUNT, seed=_SEED):
        path.write_bytes(data)
        yield path


def _taken(archive: Path) -> bool:
    return not verify(archive).altered


def _each_ms(begun: float, done: float) -> float:
    return round((done - begun) * 1_000 / COUNT, 1)
