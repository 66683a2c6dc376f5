"""What the papers of a package look like: pages that print on A4, nothing loaded or run, every word that goes in only ever text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.markup import text

Pair = tuple[str, str]
"""Chinese and English for the same."""
Row = tuple[Pair, str]

_STYLE: Final = """
* { box-sizing: border-box; }
html { font: 11px/1.45 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei", sans-serif;
  color: #16202b; background: #fff; }
body { margin: 0 auto; }
h1 { font-size: 20px; text-align: center; margin: 0 0 2px; }
h1 small { display: block; margin-bottom: 6px; font-size: 12px; font-weight: 400; color: #56636f; }
h2 { font-size: 12.5px; margin: 12px 0 4px; color: #23527c; break-after: avoid; }
h2 span, th span, .sign span { font-weight: 400; color: #56636f; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { border: 1px solid #8d99a5; padding: 3px 6px; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #eef2f6; font-weight: 600; } th span { display: block; font-size: 9.5px; }
thead th, th code, .moment, td.name { white-space: nowrap; }
td.blank { height: 8mm; }
.fingerprint { font-size: 9.4px; white-space: nowrap; letter-spacing: -0.1px; }
table.wide th { width: 19%; } table.pairs th { width: 19%; } table.pairs td { width: 31%; }
td.number { text-align: right; white-space: nowrap; }
code { font: 10px/1.4 "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
pre { margin: 2px 0 4px; padding: 4px 6px; border: 1px solid #c8d1da; white-space: pre-wrap; overflow-wrap: anywhere; break-inside: avoid; }
p { margin: 3px 0; color: #56636f; break-after: avoid; break-inside: avoid; }
.sign { display: grid; grid-template-columns: repeat(3, 1fr); border: 1px solid #8d99a5; border-width: 1px 0 0 1px; break-inside: avoid; }
.sign div { min-height: 17mm; padding: 3px 6px; border: 1px solid #8d99a5; border-width: 0 1px 1px 0; display: flex; flex-direction: column;
  justify-content: space-between; }
.sign div p { text-align: right; padding-right: 18%; }
@media screen { body { padding: 8mm; } }
"""
PORTRAIT: Final = "@page { size: A4; margin: 13mm 12mm 16mm; } body { max-width: 186mm; }"
LANDSCAPE: Final = "@page { size: A4 landscape; margin: 12mm 10mm 15mm; } body { max-width: 277mm; }"
_FOOT: Final = """
@page { @bottom-left { content: "NUMBER"; font: 9px sans-serif; color: #56636f; }
  @bottom-right { content: "第 " counter(page) " 页 · 共 " counter(pages) " 页"; font: 9px sans-serif; color: #56636f; } }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def page(called: str, paper: str, manifest: Mapping[str, Any], parts: Iterable[str]) -> bytes:
    """The whole page for `paper`, PORTRAIT or LANDSCAPE."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    foot = _FOOT.replace("NUMBER", re.sub("[^A-Za-z0-9-]", "", manifest["request"]))
    head = f'<meta charset="utf-8">{policy}<title>{text(called)}</title><style>{_STYLE}{paper}{foot}</style>'
    return f'<!doctype html><html lang="zh-CN"><head>{head}</head><body>{"".join(parts)}</body></html>\n'.encode()


def title(words: Pair, manifest: Mapping[str, Any], made_at: str) -> str:
    """What stands above it."""
    said = f"{words[1]} · 编号 No. {manifest['request']} · {made_at} · {manifest['tool']}"
    return f"<h1>{text(words[0])}<small>{text(said)}</small></h1>"


def heading(words: Pair) -> str:
    """Above a part."""
    return f"<h2>{text(words[0])} <span>{text(words[1])}</span></h2>"


def _head(words: Pair) -> str:
    return f"<th>{text(words[0])}<span>{text(words[1])}</span></th>"


def pairs(rows: Sequence[Row]) -> str:
    """Two of them a line; moments are not broken."""
    cells = [f"{_head(words)}<td>{_MOMENT.sub(_whole, text(value))}</td>" for words, value in rows]
    cells += ["<th></th><td></td>"] * (len(cells) % 2)
    lines = "".join(f"<tr>{first}{second}</tr>" for first, second in zip(cells[::2], cells[1::2], strict=True))
    return f'<table class="pairs"><tbody>{lines}</tbody></table>'


def _whole(found: re.Match[str]) -> str:
    return f'<span class="moment">{found[0]}</span>'


def wide(rows: Sequence[Row]) -> str:
    """One row a line, for digests."""
    lines = "".join(f'<tr>{_head(words)}<td><code class="fingerprint">{text(value)}</code></td></tr>' for words, value in rows)
    return f'<table class="wide"><tbody>{lines}</tbody></table>'


def table(heads: Sequence[Pair], rows: Sequence[str]) -> str:
    """`rows` are the cells of each line, as HTML."""
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{''.join(map(_head, heads))}</tr></thead><tbody>{body}</tbody></table>"


def signatures(places: Sequence[tuple[Pair, str]]) -> str:
    """A box for each hand that signs."""
    boxes = "".join(
        f"<div><span>{text(words[0])} {text(words[1])} {text(name)}</span><p>年　　月　　日</p></div>" for words, name in places
    )
    return f'<div class="sign">{boxes}</div>'


def commands(commands: Iterable[str]) -> str:
    """Commands as they are typed."""
    return f"<pre><code>{text(chr(10).join(commands))}</code></pre>"
