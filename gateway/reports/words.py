"""What reports say in Chinese and in English: headings, kinds, and the formulas, which stand in every report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.domain import words
from gateway.reports.report import By


@dataclass(frozen=True, slots=True)
class Formula:
    """An indicator by its name, and how it is worked out."""

    indicator: str
    zh: str
    en: str
    zh_formula: str
    en_formula: str


FORMULAS: Final = (
    Formula(
        "counted",
        "计时范围",
        "Counted time",
        "统计时段 − 维护时间 − 未知时间(网关未观测); 调整值另减去经批准的免责时间",
        "period − maintenance − unknown (the gateway could not look); adjusted: also − approved excuses",
    ),
    Formula("online", "在线率", "Online", "(正常 + 异常) ÷ 计时范围", "(up + degraded) ÷ counted time"),
    Formula("intact", "完好率", "Intact", "正常(应答且无任何告警) ÷ 计时范围", "up (it answers and no check complains) ÷ counted time"),
    Formula(
        "time_sync",
        "校时合格率",
        "Time sync",
        "1 − 时钟告警时间 ÷ 已检查时钟的应答时间",
        "1 − time with a complaint of the clock ÷ answering time in which the clock is checked",
    ),
    Formula(
        "picture",
        "图像质量合格率",
        "Picture",
        "1 − 图像或码流告警时间 ÷ 已检查图像的应答时间",
        "1 − time with a complaint of picture or stream ÷ answering time in which the picture is checked",
    ),
    Formula(
        "recording",
        "录像完整率",
        "Recording",
        "已录秒数 ÷ 应录秒数; 调整值的应录秒数不含免责时间内缺失的秒数(按日计)",
        "seconds recorded ÷ seconds that should be; adjusted: should be − those missing in excused time, day by day",
    ),
    Formula("mtbf", "平均无故障时间", "MTBF", "(正常 + 异常) ÷ 中断次数", "(up + degraded) ÷ outages"),
    Formula("mttr", "平均修复时间", "MTTR", "中断时间 ÷ 中断次数", "down ÷ outages"),
    Formula(
        "outage",
        "中断",
        "Outage",
        "计时范围内连续的离线; 不计时的时间既不结束也不延长中断",
        "a run of down within counted time; time that does not count neither ends nor lengthens it",
    ),
)

Pair = tuple[str, str]

BY: Final[Mapping[By, Pair]] = {
    By.DEVICE: ("设备", "Device"),
    By.GROUP: ("监控组", "Camera group"),
    By.CELL: ("单元网格", "Grid cell"),
    By.STREET: ("街道", "Street"),
    By.DISTRICT: ("区", "District"),
    By.KIND: ("设备类型", "Kind"),
    By.VENDOR: ("厂商", "Vendor"),
    By.MODEL: ("型号", "Model"),
    By.MAINTAINER: ("维护单位", "Maintainer"),
}

KIND: Final[Mapping[str, Pair]] = {str(kind): (noun.zh, noun.en) for kind, noun in words.KINDS.items()}
KINDS: Final[Mapping[str, Pair]] = {str(kind): (noun.zh, noun.plural) for kind, noun in words.KINDS.items()}
STATES: Final[Mapping[str, Pair]] = {state.value: (word.zh, word.en) for state, word in words.STATES.items()}
SEVERITIES: Final[Mapping[str, Pair]] = {severity.value: (word.zh, word.en) for severity, word in words.SEVERITIES.items()}

WORDS: Final[Mapping[str, Pair]] = {
    "title": ("设备运行可用性报告", "Availability report"),
    "period": ("统计时段", "Period"),
    "so_far": ("截至", "so far, until"),
    "made_at": ("生成时间", "Made at"),
    "zone": ("时区", "Time zone"),
    "devices": ("设备数", "Devices"),
    "out_of_service": ("停用设备(不计)", "Out of service (not counted)"),
    "raw": ("原始", "raw"),
    "adjusted": ("调整", "adjusted"),
    "online": ("在线率", "Online"),
    "intact": ("完好率", "Intact"),
    "time_sync": ("校时合格率", "Time sync"),
    "picture": ("图像质量", "Picture"),
    "recording": ("录像完整率", "Recording"),
    "outages": ("中断次数", "Outages"),
    "mtbf": ("平均无故障", "MTBF"),
    "mttr": ("平均修复", "MTTR"),
    "longest": ("最长中断", "Longest"),
    "down": ("离线", "Down"),
    "degraded": ("异常", "Degraded"),
    "unknown": ("未知", "Unknown"),
    "maintenance": ("维护", "Maintenance"),
    "excused": ("免责", "Excused"),
    "summary": ("总览", "Summary"),
    "by_kind": ("按设备类型", "By kind"),
    "worst": ("离线最久的设备(调整后)", "Worst offenders (adjusted)"),
    "excluded": ("不计时间及原因", "What was left out, and why"),
    "windows": ("维护窗口", "Maintenance windows"),
    "excuses": ("经批准的免责事由", "Approved excuses"),
    "blind": ("网关未观测时段", "Times in which the gateway did not look"),
    "formulas": ("指标公式", "Formulas"),
    "none": ("无", "none"),
    "total": ("合计", "Total"),
    "name": ("名称", "Name"),
    "place": ("位置", "Place"),
    "id": ("编号", "Id"),
    "reason": ("原因", "Reason"),
    "kind": ("类别", "Kind"),
    "evidence": ("依据", "Evidence"),
    "from": ("起", "From"),
    "to": ("止", "To"),
    "affected": ("涉及设备", "Devices"),
    "proposed_by": ("提出人", "Proposed by"),
    "approved_by": ("批准人", "Approved by"),
    "created_by": ("设立人", "Made by"),
    "times": ("次数", "Times"),
    "length": ("时长", "Length"),
    "prepared": ("编制", "Prepared by"),
    "checked": ("审核", "Checked by"),
    "approved": ("批准", "Approved by"),
    "date": ("日期", "Date"),
    "more_rows": ("其余行见表格文件", "the other rows are in the spreadsheet"),
    "unnamed": ("(未填)", "(not given)"),
    "hours": ("小时", "h"),
    "device_hours": ("设备小时", "device-hours"),
}
