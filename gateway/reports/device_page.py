"""A device's file as one page of HTML that prints on A4, in Chinese, in English or in both."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from gateway.domain.reasons import phrase
from gateway.markup import text
from gateway.reports.wording import NOTHING, Wording, share
from gateway.reports.words import KIND, SEVERITIES, STATES, Pair

LABELS: Final[Mapping[str, Pair]] = {
    "title": ("一机一档", "Device file"),
    "inventory": ("台账", "Inventory"),
    "now": ("当前状态", "How it is now"),
    "availability": ("可用性", "Availability"),
    "uplinks": ("上联链路", "What it hangs on"),
    "complaints": ("检查告警", "Complaints of its checks"),
    "transitions": ("状态变化", "State changes"),
    "incidents": ("事件", "Incidents"),
    "maintenance": ("维护窗口", "Maintenance windows"),
    "excuses": ("免责事由", "Excuses"),
    "work_orders": ("工单", "Work orders"),
    "what": ("内容", "What"),
    "repaired_at": ("修复", "Repaired"),
    "deeds": ("操作记录", "What was done to it"),
    "checks": ("已做检查", "Checks that are made"),
    "facts": ("检查所得", "What the checks found"),
    "made_at": ("生成时间", "Made at"),
    "kind": ("类型", "Kind"),
    "name": ("名称", "Name"),
    "address": ("地址", "Address"),
    "group": ("监控组", "Camera group"),
    "district": ("区", "District"),
    "street": ("街道", "Street"),
    "cell": ("单元网格", "Grid cell"),
    "position": ("坐标 WGS-84", "Position, WGS-84"),
    "owner": ("权属单位", "Owner"),
    "management_unit": ("管理单位", "Management unit"),
    "maintainer": ("维护单位", "Maintainer"),
    "vendor": ("厂商", "Vendor"),
    "model": ("型号", "Model"),
    "serial": ("序列号", "Serial"),
    "firmware": ("固件", "Firmware"),
    "mac": ("MAC", "MAC"),
    "gb28181_id": ("国标编码", "GB/T 28181 id"),
    "profile": ("适配档案", "Profile"),
    "quirks": ("已知特性", "Known oddities"),
    "recorder": ("录像机", "Recorder"),
    "behind": ("下联设备", "Devices behind it"),
    "enabled": ("在用", "In service"),
    "state": ("状态", "State"),
    "since": ("自", "Since"),
    "until": ("至", "Until"),
    "reason": ("原因", "Reason"),
    "check": ("检查", "Check"),
    "last_seen": ("最近应答", "Last seen"),
    "clock_offset_s": ("时钟偏差(秒)", "Clock offset (s)"),
    "at": ("时间", "At"),
    "before": ("此前", "Before"),
    "after": ("此后", "After"),
    "id": ("编号", "Id"),
    "severity": ("级别", "Severity"),
    "incident": ("事件", "Incident"),
    "opened_at": ("发生", "Opened"),
    "resolved_at": ("恢复", "Resolved"),
    "month": ("月份", "Month"),
    "this_month": ("本月", "This month"),
    "last_12": ("近12个月", "Last 12 months"),
    "online": ("在线 原始/调整", "Online raw/adj."),
    "intact": ("完好 原始/调整", "Intact raw/adj."),
    "recording": ("录像 原始/调整", "Recorded raw/adj."),
    "time_sync": ("校时", "Time sync"),
    "picture": ("图像", "Picture"),
    "outages": ("中断", "Outages"),
    "mtbf": ("平均无故障", "MTBF"),
    "mttr": ("平均修复", "MTTR"),
    "down": ("离线", "Down"),
    "action": ("操作", "Action"),
    "evidence": ("依据", "Evidence"),
    "none": ("无", "none"),
}
_INVENTORY: Final = (
    *("kind", "name", "address", "group", "district", "street", "cell", "position", "owner", "management_unit", "maintainer"),
    *("vendor", "model", "serial", "firmware", "mac", "gb28181_id", "profile", "quirks", "recorder", "behind", "enabled"),
)
STYLE: Final = """
@page { size: A4 portrait; margin: 12mm; }
* { box-sizing: border-box; }
html { font: 10.5px/1.45 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei", sans-serif;
  color: #16202b; background: #fff; }
body { max-width: 186mm; margin: 0 auto; padding: 6mm 0; }
h1 { font-size: 20px; margin: 0; } h1 small { font-size: 12px; font-weight: 400; color: #56636f; margin-left: 8px; }
h2 { font-size: 12.5px; margin: 15px 0 5px; padding-bottom: 2px; border-bottom: 1.5px solid #23527c; color: #23527c; break-after: avoid; }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 16px; } header p { margin: 2px 0 0; color: #56636f; }
.state { border-radius: 4px; padding: 3px 10px; font-size: 13px; font-weight: 600; color: #fff; white-space: nowrap; }
.up { background: #1b7a43; } .degraded { background: #a35c00; } .down { background: #b3261e; } .unknown { background: #56636f; }
dl { display: grid; grid-template-columns: max-content 1fr max-content 1fr; gap: 1.5px 10px; margin: 0; }
dt { color: #56636f; } dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; } thead { display: table-header-group; }
tr { break-inside: avoid; }
th, td { padding: 2px 5px; border-bottom: 1px solid #dde3e9; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #eef2f6; font-weight: 600; } th span { display: block; font-weight: 400; color: #56636f; }
table.tight { font-size: 9.5px; } .tight td, .tight th { padding: 2px 3px; overflow-wrap: normal; }
.tight td + td { white-space: nowrap; }
.note { color: #56636f; margin: 2px 0; }
@media screen { body { padding: 8mm; } }
"""


def device_page(told: Mapping[str, Any], wording: Wording) -> str:
    """The page of a file as `GET /v1/devices/{id}/file` tells it."""
    said = _Page(told, wording)
    parts = [
        said.head(),
        said.now(),
        said.section("inventory", said.inventory()),
        said.section("availability", said.availability()),
        said.section("uplinks", said.listed(("id", "name", "state"), told["uplinks"])),
        said.section("complaints", said.listed(("check", "reason", "since", "until"), told["complaints"])),
        said.section("incidents", said.listed(("id", "severity", "state", "incident", "opened_at", "resolved_at"), said.incidents())),
        said.section("transitions", said.listed(("at", "before", "after", "check", "reason"), told["transitions"])),
        said.section("maintenance", said.listed(("id", "since", "until", "reason"), told["maintenance"])),
        said.section("excuses", said.listed(("id", "state", "reason", "evidence", "since", "until"), told["excuses"])),
        said.section("work_orders", said.listed(("id", "state", "what", "maintainer", "opened_at", "repaired_at"), told["work_orders"])),
        said.section("deeds", said.listed(("at", "action"), told["deeds"])),
        said.section("facts", said.facts()),
    ]
    lang = "en" if wording.language.value == "en" else "zh-CN"
    head = f'<meta charset="utf-8"><title>{text(told["device"]["id"])} {text(wording.line("title", LABELS))}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="{lang}"><head>{head}</head><body>{"".join(parts)}</body></html>'


class _Page:
    """The parts of the page for one reader."""

    def __init__(self, told: Mapping[str, Any], wording: Wording) -> None:
        self._told = told
        self._device = told["device"]
        self._w = wording

    def head(self) -> str:
        device = self._device
        title = f"<h1>{text(device['id'])}<small>{text(device['name'])}</small></h1>"
        about = f"{self._w.line('title', LABELS)} · {self._w.line('made_at', LABELS)} {self._moment(self._told['made_at'])}"
        state = f'<span class="state {text(device["state"])}">{text(self._w.line(device["state"], STATES))}</span>'
        return f"<header><div>{title}<p>{text(about)}</p></div>{state}</header>"

    def now(self) -> str:
        device = self._device
        shown = {name: device.get(name) for name in ("since", "reason", "check", "last_seen", "clock_offset_s")}
        shown["checks"] = ", ".join(sorted(self._told["checks"]))
        return self.section("now", self._facts(shown))

    def section(self, name: str, inner: str) -> str:
        return f"<h2>{text(self._w.line(name, LABELS))}</h2>{inner}"

    def inventory(self) -> str:
        told, device = self._told, self._device
        place, position, recorder = told["place"], device.get("position"), told["recorder"]
        more = {
            "kind": self._w.line(device["kind"], KIND),
            "group": " ".join(part for part in (device["group"], place["group"]) if part),
            "cell": " ".join(part for part in (device["cell"], place["cell"]) if part),
            "district": place["district"],
            "street": place["street"],
            "position": f"{position['latitude']:.6f}, {position['longitude']:.6f}" if position else "",
            "quirks": ", ".join(quirk["id"] for quirk in told["matched"]["quirks"]),
            "profile": told["matched"]["profile"] or device["profile"],
            "recorder": f"{recorder['id']} / {recorder['channel']}" if recorder else "",
            "behind": told["behind"] or "",
            "enabled": "✓" if device["enabled"] else "✗",
        }
        return self._facts({name: more.get(name, device.get(name)) for name in _INVENTORY})

    def availability(self) -> str:
        rows = [self._month(self._w.line("this_month", LABELS), self._told["availability"]["this_month"])]
        rows.append(self._month(self._w.line("last_12", LABELS), self._told["availability"]["last_12_months"]))
        rows += [self._month(one["month"], one) for one in reversed(self._told["availability"]["months"])]
        heads = ("month", "online", "intact", "time_sync", "picture", "recording", "outages", "down", "mtbf", "mttr")
        return self._table(heads, rows, kind="tight")

    def _month(self, name: str, figures: Mapping[str, Any]) -> Sequence[str]:
        def both(what: str) -> str:
            pair = figures[what]
            return NOTHING if pair["raw"] is None else f"{share(pair['raw'])}/{share(pair['adjusted'])}"

        raw, w = figures["raw"], self._w
        single = (share(figures["time_sync"]), share(figures["picture"]), both("recording"), str(raw["outages"]))
        return (name, both("online"), both("intact"), *single, w.length(raw["down_s"]), w.length(raw["mtbf_s"]), w.length(raw["mttr_s"]))

    def incidents(self) -> Iterable[Mapping[str, Any]]:
        for one in self._told["incidents"]:
            yield {**one, "incident": " ".join(self._w.words((one["title"]["zh"], one["title"]["en"])))}

    def facts(self) -> str:
        found = [(check, name, value) for check, facts in sorted(self._device["facts"].items()) for name, value in _flat(facts)]
        rows = [(check, f"{name}: {value}") for check, name, value in found[:120]]
        return self._table(("check", "facts"), rows)

    def listed(self, names: Sequence[str], items: Iterable[Mapping[str, Any]]) -> str:
        return self._table(names, [[self._shown(name, item.get(name)) for name in names] for item in items])

    def _shown(self, name: str, value: Any) -> str:
        if value is None or value == "":
            return NOTHING
        if name in ("at", "since", "until", "opened_at", "resolved_at", "repaired_at", "last_seen"):
            return self._moment(value)
        if name == "reason":
            return " ".join(self._w.words(phrase(str(value))))
        if name == "severity":
            return self._w.line(value, SEVERITIES)
        return self._w.line(value, STATES) if name in ("before", "after", "state") else str(value)

    def _moment(self, value: str) -> str:
        return datetime.fromisoformat(value).astimezone(self._w.zone).strftime("%Y-%m-%d %H:%M:%S")

    def _facts(self, facts: Mapping[str, Any]) -> str:
        shown = "".join(
            f"<dt>{text(self._w.line(name, LABELS))}</dt><dd>{text(self._shown(name, value))}</dd>" for name, value in facts.items()
        )
        return f"<dl>{shown}</dl>"

    def _table(self, names: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
        if not rows:
            return f'<p class="note">{text(self._w.line("none", LABELS))}</p>'
        heads = "".join(
            "<th>" + "".join(_line(part, at) for at, part in enumerate(self._w.label(name, LABELS))) + "</th>" for name in names
        )
        body = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return f'<table class="{kind}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _line(part: str, at: int) -> str:
    return f"<span>{text(part)}</span>" if at else text(part)


def _flat(facts: Any, depth: int = 0) -> Iterable[tuple[str, str]]:
    """Facts by name, nested ones with dots; long ones cut."""
    if not isinstance(facts, Mapping):
        return
    for name, value in facts.items():
        if isinstance(value, Mapping) and depth < 2:
            yield from ((f"{name}.{inner}", told) for inner, told in _flat(value, depth + 1))
        else:
            told = str(value)
            yield str(name), told if len(told) <= 200 else f"{told[:200]}…"
