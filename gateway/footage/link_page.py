"""The page that the holder of a personal link sees, in Chinese and English: nothing is loaded and nothing is run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from gateway.domain.footage import BEIJING
from gateway.domain.handover import Link, Take
from gateway.markup import text

_STYLE: Final = """
body { font: 15px/1.5 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #16202b; background: #fff; }
h1 { font-size: 1.4rem; } small { color: #56636f; display: block; font-weight: 400; }
table { width: 100%; border-collapse: collapse; } th, td { text-align: left; padding: .35rem .5rem; border-bottom: 1px solid #c8d1da; }
td.number { text-align: right; white-space: nowrap; } code { font-size: .75rem; overflow-wrap: anywhere; color: #56636f; }
"""
_WHOLE: Final = "<small>整个证据包 The whole package</small>"


def link_page(link: Link, takes: Sequence[Take], files: Sequence[tuple[str, int, str]]) -> bytes:
    """`files`: name, bytes and SHA-256 of each."""
    used = {take.name: take.number for take in takes}
    rows = "".join(_row(link, name, size, sha256, used.get(name, 0)) for name, size, sha256 in files)
    title = "视频资料下载"
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{title}<small>Footage for {text(link.receiver)} · {text(link.badge)} · {text(link.request)}</small></h1>"
        f"<p>仅限本人使用，每次查看、下载均留痕。"
        f"有效期至 {_moment(link.expires_at)}（北京时间），每个文件可下载 {link.downloads} 次，断点续传计为一次。"
        f"<small>For you alone; every look and download is on record. Until {_moment(link.expires_at)} Beijing time, each file "
        f"{link.downloads} times; a download that is resumed counts once.</small></p>"
        f"<table><thead><tr><th>文件<small>File</small></th><th>字节<small>Bytes</small></th><th>已下载<small>Taken</small></th></tr></thead>"
        f"<tbody>{rows}</tbody></table></body></html>\n"
    ).encode()


def _row(link: Link, name: str, size: int, sha256: str, used: int) -> str:
    target = text(f"{link.id}/files/{name}")
    return (
        f'<tr><td><a href="{target}" download>{text(name)}</a>{"" if sha256 else _WHOLE}<br><code>{text(sha256)}</code></td>'
        f'<td class="number">{size:,}</td><td class="number">{used} / {link.downloads}</td></tr>'
    )


def _moment(at: datetime) -> str:
    return f"{at.astimezone(BEIJING):%Y-%m-%d %H:%M}"
