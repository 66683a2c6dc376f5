"""The three ways in which anybody verifies a package, asked about altered ones: our verification, the page, the printed commands."""

import base64
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from gateway.evidence.verifying import verify
from gateway.footage.instructions import LINUX, spaced
from tests.footage.altering import AlteredPackage
from tests.system import chromium

Changes = Mapping[str, bytes | None]

_AT_ONCE = 25
_JUDGING = """
var bytesIn = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
var entriesIn = coded => Object.entries(coded).map(([name, text]) => [name, text === null ? null : bytesIn(text)]);

async function judge(whole, changes) {
  const chosen = new DataTransfer();
  for (const [name, bytes] of new Map([...whole, ...entriesIn(changes)])) if (bytes) chosen.items.add(new File([bytes], name));
  document.body.dataset.verdict = "";
  const field = document.getElementById("chosen-files");
  field.files = chosen.files;
  const told = new Promise(done => {
    const watcher = new MutationObserver(() => {
      const verdict = document.body.dataset.verdict;
      if (!["", "working"].includes(verdict)) done(verdict);
    });
    watcher.observe(document.body, { attributeFilter: ["data-verdict"] });
  });
  field.dispatchEvent(new Event("change"));
  return told;
}

async function judgeAll(whole, all) {
  const told = [];
  for (const changes of all) told.push(await judge(whole, changes));
  return told;
}
"""


def taken_by_us(altered: Iterable[AlteredPackage], fingerprint: str) -> Iterator[str]:
    """Those that our verification takes for whole."""
    for one in altered:
        if not verify(one.folder, trusted=fingerprint).altered:
            yield f"{one.number} {one.way}"


def taken_by_the_commands(altered: Iterable[AlteredPackage], fingerprint: str) -> Iterator[str]:
    """Those that the printed commands for Linux take for whole, all of which somebody runs and reads."""
    for one in altered:
        if commands_take(one.folder, fingerprint):
            yield f"{one.number} {one.way}"


def commands_take(folder: Path, fingerprint: str) -> bool:
    """Whether every printed command ends well in `folder`, and the last one tells the fingerprint."""
    answers = (run(command, folder) for command in LINUX)
    said = [answer.stdout if answer.returncode == 0 else None for answer in answers]
    return None not in said and (said[-1] or "").strip().partition("=")[2] == spaced(fingerprint)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A printed command, as a shell runs it."""
    return subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, errors="replace", timeout=120, check=False)


async def open_page(page: chromium.Page, file: Path, fingerprint: str) -> None:
    """Open verify.html from the disk and tell it the fingerprint, as a person does."""
    await page.open(file.as_uri())
    await page.until("document.readyState === 'complete' && document.getElementById('drop')")
    field = "document.getElementById('fingerprint')"
    await page.run(f"{field}.value = {fingerprint!r}; {field}.dispatchEvent(new Event('input'))")


async def taken_by_the_page(page: chromium.Page, whole: Changes, altered: Iterable[tuple[str, Changes]]) -> list[str]:
    """Those that the page, which was told the fingerprint, does not call altered. It gets files as it does when a person chooses them.

    `altered`: what each is called, and what of `whole` is another.
    """
    await page.run(_JUDGING + f"globalThis.whole = entriesIn({json.dumps(_coded(whole))}); 0")
    taken, coded = [], ((name, _coded(changes)) for name, changes in altered)
    while some := list(islice(coded, _AT_ONCE)):
        told = await page.run(f"judgeAll(whole, {json.dumps([changes for _, changes in some])})")
        taken += [name for (name, _), verdict in zip(some, told, strict=True) if verdict != "altered"]
    return taken


def _coded(changes: Changes) -> dict[str, str | None]:
    return {name: None if data is None else base64.b64encode(data).decode() for name, data in changes.items()}
