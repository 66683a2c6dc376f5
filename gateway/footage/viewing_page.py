"""The page on which films are viewed on site: a watermark over every picture, no download offered, nothing from elsewhere, no script."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.domain.footage import BEIJING
from gateway.domain.viewing import Viewing
from gateway.markup import text

_STYLE: Final = """
body { font: 15px/1.5 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; margin: 1rem auto; max-width: 76rem;
  padding: 0 1rem; color: #e8edf2; background: #10151b; }
h1 { font-size: 1.2rem; } small { color: #93a1af; display: block; font-weight: 400; }
figure { position: relative; margin: 0 0 1.5rem; } video { width: 100%; display: block; background: #000; }
figure .mark { position: absolute; inset: 0 0 3.2rem; pointer-events: none; background-repeat: repeat; }
@media print { body { display: none; } }
"""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; base-uri 'none'; form-action 'none'"


def viewing_page(viewing: Viewing, names: Sequence[str]) -> bytes:
    """`names`: of the films."""
    mark = f"{viewing.viewer} {viewing.watermark} {_moment(viewing.started_at)} 仅限现场查看"
    films = "".join(_film(viewing, name) for name in names)
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>现场查看 {text(viewing.id)}</title>'
        f"<style>{_STYLE} figure .mark {{ background-image: url({_tile(mark)}); }}</style></head><body>"
        f"<h1>现场查看（不提供副本）{text(viewing.viewer)}<small>Viewing on site, no copy · {text(viewing.id)} · {text(viewing.request)} · "
        f"监看 supervised by {text(viewing.supervisor.name)} · 至 until {_moment(viewing.until)}</small></h1>{films}</body></html>\n"
    ).encode()


def _film(viewing: Viewing, name: str) -> str:
    source = text(f"{viewing.id}/films/{name}")
    limits = 'controls controlslist="nodownload nofullscreen noremoteplayback" disablepictureinpicture preload="metadata"'
    return f'<figure><video src="{source}" {limits}></video><div class="mark"></div><figcaption>{text(name)}</figcaption></figure>'


def _tile(mark: str) -> str:
    """The watermark as a picture that repeats."""
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="460" height="150"><text x="8" y="130" transform="rotate(-14 8 130)" '
        f'font-size="15" font-family="sans-serif" fill="#fff" fill-opacity=".42" stroke="#000">{text(mark)}</text></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(BEIJING):%Y-%m-%d %H:%M}"
