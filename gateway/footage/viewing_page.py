"""The page on which films are viewed on site, one at a time, from any minute, under a mark; no download, no script."""

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from gateway.domain.devices import DeviceId
from gateway.domain.footage import BEIJING, LEAST_GAP, Period, gaps
from gateway.domain.viewing import Viewing
from gateway.footage.viewing import Film, WhyNot
from gateway.markup import text

_STYLE: Final = """
body { font: 15px/1.5 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; margin: 1rem auto; max-width: 76rem;
  padding: 0 1rem; color: #e8edf2; background: #10151b; }
h1 { font-size: 1.2rem; } small { color: #93a1af; display: block; font-weight: 400; }
figure { position: relative; margin: 0 0 1.5rem; } video { width: 100%; max-height: 68vh; display: block; background: #000; }
figure .mark { position: absolute; inset: 0 0 3.2rem; pointer-events: none; background-repeat: repeat; }
section { margin: 0 0 1rem; } h2 { font-size: 1rem; margin: 0; } h2 small { display: inline; }
a { color: #9cc7f5; display: inline-block; padding: .15rem .5rem; border-radius: .25rem; } a:hover { background: #1d2732; }
.gap { color: #f2b8a0; display: inline-block; padding: .15rem .5rem; border: 1px dashed; border-radius: .25rem; }
a[aria-current] { color: #10151b; background: #9cc7f5; }
@media print { body { display: none; } }
"""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; base-uri 'none'; form-action 'none'"
_MINUTE: Final = timedelta(minutes=1)
_LEAST: Final = timedelta(seconds=5)
_CHOSEN: Final = ' aria-current="true"'
_BROUGHT: Final = "非网关提取，起点为 0:00:00 not fetched by the gateway, begins at 0:00:00"
_WHY_NOT: Final = {
    WhyNot.NO_MP4: "厂商格式，不能在此查看，请用厂商播放器。 Not MP4: it cannot be shown here; use the vendor's player.",
    WhyNot.ENCODING: "画面编码不是 H.264/H.265，不能在此查看。 Its pictures are neither H.264 nor H.265: it cannot be shown here.",
}


def viewing_page(
    viewing: Viewing, films: Sequence[Film], *, names: Mapping[DeviceId, str], shown: Film | None = None, from_s: float = 0.0
) -> bytes:
    """`films`: in order; `names`: what their cameras are called, where that is known; `shown`: the one that stands ready to be played,
    from `from_s` seconds on, when somebody has chosen one."""
    mark = f"{viewing.viewer} 仅限现场查看"
    before = [None, *films[:-1]]
    choice = "".join(
        _between(last, film) + _choice(viewing, film, _called(film, names), from_s if film is shown else None)
        for last, film in zip(before, films, strict=False)
    )
    invitation = "<p>请选择开始时间（北京时间）。<small>Choose where to begin, Beijing time.</small></p>"
    screen = _screen(viewing, shown, _called(shown, names), from_s) if shown else invitation
    nothing = "<p>没有可查看的录像。<small>There is no film to view.</small></p>"
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>现场查看 {text(viewing.id)}</title>"
        f"<style>{_STYLE} figure .mark {{ background-image: url({_tile(mark)}); }}</style></head><body>"
        f"<h1>现场查看（不提供副本）{text(viewing.viewer)}<small>Viewing on site, no copy · {text(viewing.id)} · {text(viewing.request)} · "
        f"监看 supervised by {text(viewing.supervisor.name)} · 至 until {_moment(viewing.until)}</small></h1>"
        f"{screen + choice if films else nothing}</body></html>\n"
    ).encode()


def _screen(viewing: Viewing, film: Film, called: str, from_s: float) -> str:
    source = text(f"{viewing.id}/films/{film.name}?{urlencode({'from_s': f'{from_s:g}'})}")
    limits = 'controls autoplay controlslist="nodownload nofullscreen noremoteplayback" disablepictureinpicture preload="none"'
    begins = film.period.start + timedelta(seconds=from_s)
    return (
        f'<figure><video src="{source}" {limits}></video><div class="mark"></div>'
        f"<figcaption>{called} · 自 from {_moment(begins, _pattern(film))}"
        f"{''.join(map(_gap, _gaps(film)))}"
        f"<small>画面已压入水印并重新编码，非原始录像。 Marked and encoded anew for this screen; not the original. "
        f"无录像的时段会跳过，画面上有提示。 What was not recorded is jumped over; the picture says so.</small>"
        f"</figcaption></figure>"
    )


def _choice(viewing: Viewing, film: Film, called: str, from_s: float | None) -> str:
    """The minutes of a film, each a link, and its gaps between them, or why it cannot be shown; `from_s`: the one that is shown."""
    title = f"<small>{text(film.name)}{' · ' + _BROUGHT if film.brought else ''}</small>"
    if film.why_not is not None:
        return f"<section><h2>{called} {title}</h2><p>{_WHY_NOT[film.why_not]}</p></section>"
    shown = [(at, _link(viewing, film, at, label, chosen=at == from_s)) for at, label in _minutes(film)]
    shown += [((hole.start - film.period.start).total_seconds(), _gap(hole)) for hole in _gaps(film)]
    links = "".join(html for _, html in sorted(shown))
    ends = _moment(film.period.end, "%H:%M:%S")
    return f"<section><h2>{called} {_moment(film.period.start, _pattern(film))} – {ends} {title}</h2>{links}</section>"


def _called(film: Film, names: Mapping[DeviceId, str]) -> str:
    """Its camera by name and id, as text of the page."""
    return text(" ".join(filter(None, (names.get(film.camera), film.camera))))


def _link(viewing: Viewing, film: Film, at: float, label: str, *, chosen: bool) -> str:
    target = f"{viewing.id}?{urlencode({'film': film.name, 'from_s': f'{at:g}'})}"
    return f'<a href="{text(target)}"{_CHOSEN * chosen}>{label}</a>'


def _minutes(film: Film) -> Iterator[tuple[float, str]]:
    """Where one may begin, in seconds from the start: there, after each gap, and at each full minute of the true clock that was recorded;
    and what is written for it."""
    start, holes = film.period.start, _gaps(film)
    yield 0.0, _moment(start, "%H:%M:%S")
    for hole in holes:  # never before the first picture after it: from there on one would see the last one before
        yield math.ceil((hole.end - start).total_seconds() * 10) / 10, _moment(hole.end, "%H:%M:%S")
    at = start.replace(second=0, microsecond=0) + _MINUTE
    while at < film.period.end - _LEAST:
        if not any(hole.start <= at <= hole.end for hole in holes):
            yield round((at - start).total_seconds(), 1), _moment(at, "%H:%M")
        at += _MINUTE


def _gaps(film: Film) -> tuple[Period, ...]:
    """What was not recorded between its first and its last picture."""
    return gaps(film.runs, film.period, least=LEAST_GAP)


def _between(last: Film | None, film: Film) -> str:
    """What is missing between two films of one camera."""
    if last is None or last.camera != film.camera or film.brought or film.period.start - last.period.end < LEAST_GAP:
        return ""
    return f"<section>{_gap(Period(last.period.end, film.period.start))}</section>"


def _gap(hole: Period) -> str:
    start, end = (_moment(at, "%H:%M:%S") for at in (hole.start, hole.end))
    return f'<span class="gap">无录像 no recording {start} – {end}</span>'


def _pattern(film: Film) -> str:
    """How its start is written: what was brought has no date that anybody measured."""
    return "%H:%M:%S" if film.brought else "%Y-%m-%d %H:%M:%S"


def _tile(mark: str) -> str:
    """The viewer's name, which the mark in the pictures has no letters for, as a picture that repeats."""
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="420" height="220"><text x="8" y="150" transform="rotate(-14 8 150)" font-size="17" '
        'font-family="sans-serif" fill="#fff" fill-opacity=".5" stroke="#000" stroke-opacity=".25" stroke-width=".6">'
        f"{text(mark)}</text></svg>"
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()}"


def _moment(at: datetime, pattern: str = "%Y-%m-%d %H:%M") -> str:
    return f"{at.astimezone(BEIJING):{pattern}}"
