"""`verify.html`: one page that verifies a package in a browser, offline, put together from the sources in `page/`."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

_SOURCES: Final = Path(__file__).parent / "page"
_SCRIPTS: Final = ("words.js", "json.js", "certificate.js", "archive.js", "package.js", "screen.js")


@cache
def verify_page() -> bytes:
    """The page. Its policy lets run what was put into it, and nothing be fetched or sent."""
    style = _source("style.css")
    script = '"use strict";\n' + "\n".join(_source(name) for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    page = _source("index.html")
    for mark, text in (("policy", policy), ("style", style), ("hasher", _source("hasher.js")), ("script", script)):
        page = page.replace(f"@{mark}@", text, 1)
    return page.encode()


def _source(name: str) -> str:
    return (_SOURCES / name).read_text("utf-8")


def _hash(text: str) -> str:
    """A source for the Content Security Policy (CSP level 2, section 4.2.5)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
