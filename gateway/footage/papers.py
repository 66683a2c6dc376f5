"""The papers of a package, in Chinese and English: the custody sheet (视频资料调取登记表) and the evidence list (证据清单).

Both are pages that print on A4: nothing is loaded, nothing is run, and what people and devices are called is only ever text. They say
what the manifest says and tell its digest, so that a signature by hand on paper stands for the files.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from gateway.domain.footage import CLOCK_COMPARED, GAPS, NO_RECORDER, NOT_RECORDED, NOT_REPLAYED, SOUND_LEFT_OUT, SOUND_REFUSED, TimeSource
from gateway.evidence.contents import MANIFEST, PAGE, SM_KEY
from gateway.footage import stationery
from gateway.footage.instructions import LINUX, SECOND, WINDOWS_OPENSSL, spaced
from gateway.footage.stationery import Pair, Row
from gateway.markup import text

_URGENCY: Final = {"normal": "普通 normal", "urgent": "紧急 urgent"}
_KINDS: Final = {"police": "公安 police", "authority": "其他机关 other authority", "citizen": "个人（仅查看） citizen, views only"}
_EMERGENCIES: Final = {
    "danger-to-life": "危及生命 danger to life",
    "missing-person": "人员走失 missing person",
    "hot-pursuit": "现场追捕 hot pursuit",
}
_STEPS: Final = {
    "submitted": "提出申请 filed",
    "amended": "补正 amended",
    "approved": "审批同意 approved",
    "went-ahead": "紧急先行 went ahead in an emergency",
    "confirmed": "事后确认 confirmed afterwards",
    "papers-supplied": "补交文书 papers supplied",
    "papers-overdue": "文书逾期 papers overdue",
    "document-added": "附入文书 document added",
    "retried": "重新调取 tried again",
    "located": "查找录像 recordings looked up",
    "held": "保全 held",
    "supplemented": "附入自带录像 files taken in",
    "exported": "提取完成 footage fetched",
    "concluded": "封装签名 sealed and signed",
    "sealed-again": "重新封装签名 sealed and signed again",
    "viewed": "现场查看 viewed on site",
    "downloaded": "下载 downloaded",
    "handed-over": "移交 handed over",
}
"""What the custody sheet prints of the custody log; the rest of it, looks above all, stands in the manifest alone."""
_STATES: Final = {"done": "完整 whole", "partial": "部分 in part", "nothing": "未取得 nothing obtained", "failed": "未能调取 failed"}
_WHY: Final = {
    NOT_RECORDED: f"未录像 {NOT_RECORDED}",
    GAPS: f"录像有间断 {GAPS}",
    NO_RECORDER: f"无录像机保存 {NO_RECORDER}",
    NOT_REPLAYED: f"设备称有录像，但未予回放 {NOT_REPLAYED}",
}
_MEASURED: Final = {CLOCK_COMPARED: "（ONVIF 校时查询，精度约 1 秒 asked by ONVIF, to about 1 s）"}
_CLOCK: Final[Pair] = ("与北京时间误差", "Error against Beijing time")
_CLOCK_THEN: Final[Pair] = ("录制时与北京时间误差", "Error against Beijing time when recorded")
_CLOCK_NOW: Final[Pair] = ("查找时与北京时间误差", "Error against Beijing time when looked up")
_CLOCK_CHANGED: Final[Pair] = ("时钟变动", "Clock changed")
_HAS_CHANGED: Final = (
    "该时段内设备时钟有变动（被校正或走偏），各段按各自误差查找；相互交叠的时段内以何者为准无法确定，设备时间可能重复"
    " The clock changed within the period, it was set or went wrong: each part was found by its own error. Where two parts overlap it is"
    " not known which holds, and the device may have shown the same time twice"
)
_BASES: Final = {
    "": "",
    "measured-then": "（录制时所测 measured then）",
    "measured-later": "（录制时未测量，采用此后最早所测 not measured then; the first measurement after it is used）",
    "today": "（录制时未测量，采用当前误差 not measured then; today's is used）",
}
_OTHERWISE: Final[Mapping[str, Pair]] = {
    "recorder": ("取得时另有误差", "Otherwise when fetched"),
    "card": ("取自摄像机存储卡", "From the camera's own card"),
}
_SOURCES: Final = {"recorder": "录像机 recorder", "card": "摄像机存储卡 camera's own card"}
_SOUND: Final = {
    "sound_left_out": (SOUND_LEFT_OUT, f"未含声音（{{0}} 编码，文件无法存入） {SOUND_LEFT_OUT}"),
    "sound_refused": (SOUND_REFUSED, f"缺少声音（{{0}} 编码，设备列有但拒绝提供） {SOUND_REFUSED}"),
}
"""By the name of what a file says of its sound: the reason of an export, and that in both languages."""
_RECKONED: Final = "时间由网关推算，设备未给出 reckoned by the gateway, not told by the device"
_DOUBLED: Final = (
    "回放中设备时间倒退（如时钟被回拨）：同一设备时间出现在不止一个文件中，北京时间以何者为准无法确定"
    " The device's time went back in the replay, as when its clock was set back: more than one file shows the same time of the device's,"
    " and it is not known for which of them Beijing time is right"
)
_BLANK: Final = "　"
_HANDS: Final = 4
"""Lines for those through whose hands the medium goes after it was handed over."""


def custody_sheet(manifest: Mapping[str, Any], digest: str) -> bytes:
    """视频资料调取登记表: who asked for what and why, what was got from which device with which clock, and where people sign.

    `manifest`: as it was signed; `digest`: its SHA-256, hex.
    """
    case, people = manifest["case"], manifest["people"]
    parts = [
        stationery.title(("视频资料调取登记表", "Footage retrieval: custody sheet"), manifest, _moment(manifest["made_at"])),
        stationery.pairs(_about_case(case, people, manifest)),
        *(_camera(camera, number) for number, camera in enumerate(manifest["cameras"], start=1)),
        *(_brought(one, number) for number, one in enumerate(manifest.get("imported", ()), start=1)),
        stationery.heading(("完整性与来源", "Integrity and origin")),
        stationery.wide(_integrity(manifest, digest)),
        stationery.heading(("经手记录（截至封装）", "Chain of custody until the package was sealed")),
        stationery.table(_STEP_HEADS, _steps(manifest)),
        stationery.heading(("交付", "Hand-over")),
        stationery.pairs(
            [
                (("介质种类", "Kind of medium"), _BLANK),
                (("介质编号", "Number of the medium"), _BLANK),
                (("封存编号", "Number of the seal"), _BLANK),
                (("交付时间", "Handed over at"), _BLANK),
            ]
        ),
        stationery.heading(("签字", "Signatures")),
        stationery.signatures(
            [
                (("调取人", "Requester"), people["requester"]),
                (("第二调取人", "Second officer"), people["second_officer"]),
                (("审批人", "Approved by"), people["approved_by"]["name"] if people["approved_by"] else ""),
                (("提供单位经办人", "For the provider"), ""),
                (("接收人", "Received by"), ""),
                (("见证人", "Witness"), ""),
            ]
        ),
        stationery.heading(("交付后的保管", "Custody after hand-over")),
        stationery.table(_HAND_HEADS, ['<td class="blank"></td>' * len(_HAND_HEADS)] * _HANDS),
        stationery.heading(("校验命令（在文件夹内执行）", "Commands that verify, run in the folder")),
        "<p>Linux：前两条须显示 Verified OK，第三条每行均为 OK，第四条无显示，第五条与上列证书指纹一致。"
        " The first two say Verified OK, the third OK in each line, the fourth nothing, the fifth the fingerprint above.</p>",
        stationery.commands([*LINUX, *(SECOND if "second" in manifest["algorithms"] else ())]),
        f"<p>Windows：用浏览器打开 {PAGE} 并填入上列指纹；或逐个文件执行 certutil 并与证据清单比对，装有 openssl 的可再核对签名。"
        f" Open {PAGE} in a browser and enter the fingerprint above; or compare certutil's values with the evidence list, and check the"
        " signatures where openssl is installed.</p>",
        stationery.commands(["certutil -hashfile NAME SHA256", *WINDOWS_OPENSSL]),
    ]
    return stationery.page("视频资料调取登记表 Custody sheet", stationery.PORTRAIT, manifest, parts)


def evidence_list(manifest: Mapping[str, Any], digest: str) -> bytes:
    """证据清单: every file with its times and its integrity value (完整性校验值), for the investigators and the provider to sign."""
    case, people = manifest["case"], manifest["people"]
    files = [(camera, file) for camera in manifest["cameras"] for file in camera["files"]]
    brought = [(one, file) for one in manifest.get("imported", ()) for file in one["files"]]
    total = f"{len(files) + len(brought)} / {sum(file['size'] for _, file in files + brought):,} B"
    rows = [_file_cells(number, camera, file) for number, (camera, file) in enumerate(files, start=1)]
    rows += [_brought_cells(number, one, file) for number, (one, file) in enumerate(brought, start=len(files) + 1)]
    parts = [
        stationery.title(("电子数据证据清单", "List of electronic evidence"), manifest, _moment(manifest["made_at"])),
        stationery.pairs(
            [
                (("案件编号", "Case number"), case["case_number"]),
                (("调取单位", "Unit"), people["unit"]),
                (("文书编号", "Authorising document"), case["authorising_document"]),
                (("文件数／字节", "Files / bytes"), total),
                (("校验算法", "Integrity value"), "SHA-256"),
                (
                    ("类别／格式", "Kind / format"),
                    "视频 video / MP4；设备原始编码，未重新编码 as the device encoded it, nothing encoded again",
                ),
                (("提取方法", "How it was got"), _method(manifest, fetched=bool(files), brought=bool(brought))),
                (("提取人／时间", "By / at"), _who(people["exported_by"]) if files else "–"),
            ]
        ),
        stationery.heading(("文件", "Files")),
        stationery.table(_FILE_HEADS, rows),
        stationery.heading(("清单文件与证书", "Manifest and certificate")),
        stationery.wide(_integrity(manifest, digest)),
        stationery.heading(("签字", "Signatures")),
        stationery.signatures(
            [
                (("侦查（调取）人员", "Investigator"), people["requester"]),
                (("侦查（调取）人员", "Investigator"), people["second_officer"]),
                (("持有人／提供人", "Provider"), ""),
            ]
        ),
    ]
    return stationery.page("电子数据证据清单 Evidence list", stationery.LANDSCAPE, manifest, parts)


# -- what stands there ------------------------------------------------------------------------------------------------


def _about_case(case: Mapping[str, Any], people: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[Row]:
    return [
        (("案件编号", "Case number"), case["case_number"]),
        (("案件类别", "Kind of case"), case["case_kind_wording"] or case["case_kind"]),
        (("法律依据", "Legal basis"), case["legal_basis_wording"] or case["legal_basis"]),
        (("文书编号", "Authorising document"), " ".join(part for part in (case["authorising_document"], case["approval_letter"]) if part)),
        (("调取单位", "Unit"), people["unit"]),
        (("调取人／证件号", "Requester / badge"), f"{people['requester']} / {people['badge']} ({_KINDS[case['requester_kind']]})"),
        (("第二调取人", "Second officer"), people["second_officer"]),
        (("紧急程度", "Urgency"), _EMERGENCIES.get(case["emergency"]) or _URGENCY[case["urgency"]]),
        (("用途", "Purpose"), case["purpose"]),
        (("去向", "Destination"), case["destination"]),
        (("申请时段（北京时间）", "Requested period, Beijing time"), _asked(manifest["requested"], case["tolerance_s"])),
        *([(("地点", "Place"), case["address"])] if case["address"] else ()),
        *([(("未调取的摄像机", "Cameras left out"), ", ".join(case["left_out"]))] if case["left_out"] else ()),
        (("登记", "Filed by"), _who(people["submitted_by"])),
        (("审批", "Approved by"), _who(people["approved_by"])),
        (("导出", "Exported by"), _who(people["exported_by"])),
    ]


def _camera(camera: Mapping[str, Any], number: int) -> str:
    files = camera["files"]
    device = " ".join(str(part) for part in (camera["recorder"], camera["recorder_name"], camera["vendor"], camera["model"]) if part)
    device += f" （{_SOURCES['card']}）" if camera["recorder"] == camera["camera"] else ""
    rows = [
        (("摄像机", "Camera"), f"{camera['camera']} {camera['name']}"),
        (("设备", "Device"), device),
        (("序列号", "Serial number"), camera["serial"]),
        (("通道／录像", "Channel / recording"), f"{camera['channel'] or '–'} / {camera['recording']}"),
        *_clocks(camera),
        *_fetched_otherwise(camera),
        *_without_sound(camera),
        *_reckoned(camera),
        *_doubled(camera),
        (("申请时段（设备时间）", "Requested period, device's time"), _span(camera["requested_device_time"])),
        (("实际取得（北京时间）", "Obtained, Beijing time"), _spans(camera["obtained"])),
        (("缺失（北京时间）", "Missing, Beijing time"), _spans(camera["gaps"])),
        *_withheld(camera),
        (("结果", "Result"), " · ".join((_STATES[camera["state"]], *_reasons(camera["reason"])))),
        (("文件数／字节", "Files / bytes"), f"{len(files)} / {sum(file['size'] for file in files):,}"),
    ]
    return stationery.heading((f"设备 {number}", f"Device {number}")) + stationery.pairs(rows)


def _withheld(camera: Mapping[str, Any]) -> list[Row]:
    """What the devices said to have of what was not obtained whole, and when they said so: their last word, however old."""
    recorded = [*camera["recorded"], *(camera["card"]["recorded"] if camera["card"] else ())]
    if camera["state"] == "done" or not recorded or not camera["recorded_as_of"]:
        return []
    when = _moment(camera["recorded_as_of"])
    return [(("设备称有录像（北京时间）", "Recorded, as the devices said"), f"{_spans(recorded)} （截至 as of {when}）")]


def _reasons(told: str) -> list[str]:
    """What the gateway judged, in both languages; what it or a device said besides as it was said, whole."""
    found: list[str] = []
    for known, parts in groupby(zip(map(_in_both, told.split("; ")), told.split("; "), strict=True), key=lambda part: part[0] != ""):
        said = list(parts)
        found += [both for both, _ in said] if known else [f"原文 as told: {'; '.join(each for _, each in said)}"]
    return found if told else []


def _in_both(reason: str) -> str:
    """One reason in both languages, "" for one that is in nobody's list."""
    for told, both in _SOUND.values():
        before, _, after = told.partition("{0}")
        if reason.startswith(before) and reason.endswith(after):
            return both.format(reason[len(before) : len(reason) - len(after)])
    return _WHY.get(reason, "")


def _clocks(camera: Mapping[str, Any]) -> list[Row]:
    """How the device's clock was when it recorded, by which the footage was found, and how it was when that was looked up."""
    basis = camera["clock_basis"]
    then = "；".join(map(_part, camera["clock_parts"])) or " ".join(filter(None, (clock_error(camera["clock_offset_s"]), _BASES[basis])))
    rows = [(_CLOCK_THEN if basis else _CLOCK, f"{then} {_MEASURED.get(camera['clock_offset_measured'], '')}")]
    rows += [(_CLOCK_NOW, clock_error(camera["clock_offset_now_s"]))] if basis else []
    return rows + ([(_CLOCK_CHANGED, _HAS_CHANGED)] if camera["clock_parts"] else [])


def _part(part: Mapping[str, Any]) -> str:
    return f"{_span(part)}: {clock_error(part['clock_offset_s'])} {_BASES[part['basis']]}"


def _fetched_otherwise(camera: Mapping[str, Any]) -> list[Row]:
    """The files that another device gave, or the same one when its clock was otherwise: which, and how it was."""
    own = _origin({**camera, "device": camera["recorder"]})
    found: dict[tuple[Pair, str], list[str]] = {}
    for file in camera["files"]:
        if (told := _origin(file)) != own:
            found.setdefault((_OTHERWISE[file["source"]], told), []).append(file["name"])
    return [(label, f"{', '.join(names)}: {told}") for (label, told), names in found.items()]


def _without_sound(camera: Mapping[str, Any]) -> list[Row]:
    """What was recorded and is not in the files."""
    found: dict[str, list[str]] = {}
    for file in camera["files"]:
        for told in _silences(file):
            found.setdefault(told, []).append(file["name"])
    return [(("声音", "Sound"), f"{', '.join(names)}: {told}") for told, names in found.items()]


def _silences(file: Mapping[str, Any]) -> list[str]:
    return [both.format(file[name]) for name, (_, both) in _SOUND.items() if file[name]]


def _reckoned(camera: Mapping[str, Any]) -> list[Row]:
    """The files whose times the device did not tell."""
    names = [file["name"] for file in camera["files"] if file["time_source"] == TimeSource.RECKONED]
    return [(("时间来源", "Times"), f"{', '.join(names)}: {_RECKONED}")] if names else []


def _doubled(camera: Mapping[str, Any]) -> list[Row]:
    """The files whose device's time stands in others too."""
    told = [f"{file['name']}: {_spans(file['device_time_doubled'])}" for file in camera["files"] if file["device_time_doubled"]]
    return [(("设备时间重复", "Device's time shown twice"), f"{'； '.join(told)} · {_DOUBLED}")] if told else []


def _origin(of: Mapping[str, Any]) -> str:
    """Which device, by its serial number, gave it out of which recording, and how its clock was."""
    return " · ".join(part for part in (of["device"], of["serial"], of["recording"], clock_error(of["clock_offset_s"])) if part)


def _method(manifest: Mapping[str, Any], *, fetched: bool, brought: bool) -> str:
    ways = [f"ONVIF 录像回放（RTSP）replay by {manifest['tool']}"] * fetched
    ways += ["标明者由他人提供，非网关提取 those marked so were brought, not fetched by the gateway"] * brought
    return "； ".join(ways) or "–"


def _asked(requested: Mapping[str, str], tolerance_s: float) -> str:
    return _span(requested) + (f" (± {tolerance_s:g} s)" if tolerance_s else "")


def _brought(one: Mapping[str, Any], number: int) -> str:
    """A file that the gateway did not fetch: nothing of what is said of it was measured."""
    claimed = _span(one["claimed"]) if one["claimed"] else "–"
    rows = [
        (("提供人／证件号", "Brought by / badge"), f"{one['brought_by']} / {one['badge']}"),
        (("来源设备（据称）", "Device, as told"), " ".join(part for part in (one["device"], one["camera"]) if part)),
        (("导出软件", "Written by"), one["client"]),
        (("原文件名", "Its own name"), one["original_name"]),
        (("所示时段（据称）", "Period, as told"), claimed),
        (("接收", "Taken in by"), _who(one["taken_in_by"])),
    ]
    return stationery.heading((f"非网关提取的文件 {number}", f"File {number} not fetched by the gateway")) + stationery.pairs(rows)


def _steps(manifest: Mapping[str, Any]) -> list[str]:
    told = [entry for entry in manifest["custody"] if entry["step"] in _STEPS]
    return [
        f'<td class="number">{number}</td><td class="moment">{text(_moment(entry["by"]["at"]))}</td><td>{text(_STEPS[entry["step"]])}</td>'
        f"<td>{text(entry['by']['name'])} ({text(entry['by']['id'])})</td>"
        for number, entry in enumerate(told, start=1)
    ]


def _integrity(manifest: Mapping[str, Any], digest: str) -> list[Row]:
    return [
        ((f"{MANIFEST} 校验值", "SHA-256"), digest),
        (("证书指纹 (SHA-256)", "Certificate's fingerprint"), spaced(manifest["certificate_sha256"])),
        *((("SM2 公钥文件", "SHA-256 of the SM2 key's file"), file["sha256"]) for file in manifest["package"] if file["name"] == SM_KEY),
        (("签名算法", "Signature"), "ECDSA P-256, SHA-256" + ("; SM2, SM3" if "second" in manifest["algorithms"] else "")),
    ]


_STEP_HEADS: Final[Sequence[Pair]] = (("序号", "No."), ("北京时间", "Beijing time"), ("步骤", "Step"), ("经手", "By"))
_HAND_HEADS: Final[Sequence[Pair]] = (
    ("日期时间", "Date and time"),
    ("移交人签字", "Given by"),
    ("接收人签字", "Taken by"),
    ("事由", "Why"),
    ("封条是否完好", "Seal intact"),
)
_FILE_HEADS: Final[Sequence[Pair]] = (
    ("序号", "No."),
    ("文件", "File"),
    ("摄像机／来源设备", "Camera / device it came from"),
    ("北京时间", "Beijing time"),
    ("设备时间", "Device's time"),
    ("取得", "Fetched at"),
    ("字节", "Bytes"),
    ("帧／缺损", "Pictures / damaged"),
    ("完整性校验值 SHA-256", "Integrity value"),
)


def _file_cells(number: int, camera: Mapping[str, Any], file: Mapping[str, Any]) -> str:
    named = f"{camera['camera']} {camera['name']}"
    given = f"<br>{text(_SOURCES[file['source']])}: {text(_origin(file))}" if file["device"] else ""
    given += "".join(f"<br>{text(told)}" for told in _silences(file))
    reckoned = f"<br>{text(_RECKONED)}" if file["time_source"] == TimeSource.RECKONED else ""
    twice = f"<br>重复 shown twice: {text(_spans(file['device_time_doubled']))}" if file["device_time_doubled"] else ""
    held = f"<br>保全 hold {text(file['hold'])}" if file["hold"] else ""
    held += f"<br>取自另一申请<br>from another request<br>{text(_moment(file['taken_over_at']))}" if file["taken_over_at"] else ""
    return (
        f'<td class="number">{number}</td><td class="name">{text(file["name"])}</td><td>{text(named)}{given}</td>'
        f'<td class="moment">{_two(file["period"])}</td><td class="moment">{_two(file["device_time"])}{reckoned}{twice}</td>'
        f'<td class="moment">{text(_moment(file["fetched_at"]))}{held}</td>'
        f'<td class="number">{file["size"]:,}</td><td class="number">{file["frames"]:,} / {file["damaged"]:,}</td>'
        f"<td><code>{text(file['sha256'])}</code></td>"
    )


def _brought_cells(number: int, one: Mapping[str, Any], file: Mapping[str, Any]) -> str:
    said = " ".join(part for part in (one["device"], one["camera"]) if part)
    claimed = f"据称 as told<br>{_two(one['claimed'])}" if one["claimed"] else "–"
    named = f'<td class="name">{text(file["name"])}</td><td>非网关提取 not fetched by the gateway: {text(said)}</td>'
    return (
        f'<td class="number">{number}</td>{named}'
        f'<td class="moment">{claimed}</td><td>–</td><td class="moment">接收 taken in<br>{text(_moment(one["taken_in_by"]["at"]))}</td>'
        f'<td class="number">{file["size"]:,}</td><td class="number">–</td>'
        f"<td><code>{text(file['sha256'])}</code></td>"
    )


def clock_error(offset_s: float | None) -> str:
    """How far a device's clock is off, in words; positive: it is fast."""
    if offset_s is None:
        return "未测量 not measured"
    size = abs(offset_s)
    if size < 0.0005:
        return "0 秒 s"
    minutes, seconds = divmod(round(size * 1_000), 60_000)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "小时", "h"), (minutes, "分", "min"), (seconds / 1_000, "秒", "s")]
    shown = [part for part in parts if part[0]]
    chinese, english = ("快", "fast") if offset_s > 0 else ("慢", "slow")
    told = "".join(f"{value:g} {unit} " for value, unit, _ in shown)
    return f"{chinese} {told}· {' '.join(f'{value:g} {unit}' for value, _, unit in shown)} {english}"


def _who(person: Mapping[str, str] | None) -> str:
    return "" if person is None else f"{person['name']} ({person['id']}) {_moment(person['at'])}"


def _moment(value: str) -> str:
    return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S") if value else ""


def _span(period: Mapping[str, str]) -> str:
    return f"{_moment(period['start'])} – {_moment(period['end'])}"


def _spans(periods: Iterable[Mapping[str, str]]) -> str:
    return "； ".join(map(_span, periods)) or "无 none"


def _two(period: Mapping[str, str]) -> str:
    return "<br>".join(text(_moment(period[end])) for end in ("start", "end"))
