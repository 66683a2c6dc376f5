"""What the reason codes say to people, in Chinese and in English: one table for messages, reports and screens.

What to do next stands in `docs/operate/reasons.md`.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Phrase(NamedTuple):
    """One thing said in both languages: what a device does or has, without its name."""

    zh: str
    en: str


PHRASES: Mapping[str, Phrase] = {
    "timeout": Phrase("超时无应答", "no answer in time"),
    "refused": Phrase("连接被拒", "connection refused"),
    "reset": Phrase("连接被重置", "connection reset"),
    "no-route": Phrase("网络不可达", "no route to it"),
    "closed": Phrase("连接被关闭", "closed the connection"),
    "unreachable": Phrase("不可达", "not reachable"),
    "service-silent": Phrase("网络可达，服务无应答", "reachable, but its service is silent"),
    "bad-credentials": Phrase("密码被拒", "refuses our password"),
    "clock-skew": Phrase("时钟偏差导致认证失败", "refuses us because of its clock"),
    "locked-out": Phrase("账号被锁定", "has locked us out"),
    "too-many-connections": Phrase("连接数过多", "has too many connections"),
    "clock-drift": Phrase("时钟偏差过大", "its clock is wrong"),
    "clock-zone-lie": Phrase("以本地时间冒充 UTC", "it tells local time as UTC"),
    "wrong-time-zone": Phrase("时区设置错误", "its time zone is wrong"),
    "impossible-time": Phrase("报告的时间不合法", "it tells an impossible time"),
    "wrong-device": Phrase("设备被替换", "another device answers here"),
    "wrong-operation": Phrase("应答内容不符", "answers another question"),
    "malformed": Phrase("应答格式错误", "its answer is not valid"),
    "too-large": Phrase("应答过大", "its answer is too large"),
    "redirect": Phrase("要求重定向", "redirects us elsewhere"),
    "dtd": Phrase("应答含禁用的 DTD", "sends a forbidden DTD"),
    "not-http": Phrase("非 HTTP 应答", "does not speak HTTP"),
    "fault": Phrase("设备返回故障", "answers with a fault"),
    "not-supported": Phrase("不支持", "does not support this"),
    "silent-or-wrong-community": Phrase("SNMP 无应答或团体字错误", "silent, or wrong SNMP community"),
    "unknown-user": Phrase("SNMP 用户未知", "unknown SNMP user"),
    "wrong-auth-key": Phrase("SNMP 认证密钥错误", "wrong SNMP authentication key"),
    "privacy-key-suspected": Phrase("在线，疑似 SNMP 加密密钥错误", "alive; SNMP privacy key suspected"),
    "no-snmp-credentials": Phrase("台账缺少 SNMP 凭据", "no SNMP credentials in the inventory"),
    "gateway-lagging": Phrase("网关自身滞后", "the gateway itself is late"),
    "gateway-blind": Phrase("网关自身失联", "the gateway sees nobody"),
    "flapping": Phrase("时断时续", "comes and goes"),
    "slow": Phrase("应答太慢", "answers too slowly"),
    "truncated": Phrase("应答中断", "its answer broke off"),
    "forbidden": Phrase("账号无此权限", "the user may not do this"),
    "not-permitted": Phrase("账号无此权限", "the user may not do this"),
    "no-digest": Phrase("只支持明文登录", "offers only a login in clear"),
    "no-picture": Phrase("没有画面", "gives no picture"),
    "no-stream": Phrase("取流无数据", "sends no stream"),
    "picture-late": Phrase("首帧过慢", "its first picture comes late"),
    "resolution-differs": Phrase("分辨率与配置不符", "its resolution differs"),
    "frame-rate-differs": Phrase("帧率与配置不符", "its frame rate differs"),
    "picture-black": Phrase("画面全黑", "its picture is black"),
    "picture-white": Phrase("画面过曝全白", "its picture is white"),
    "picture-covered": Phrase("画面被遮挡", "its view is covered"),
    "picture-frozen": Phrase("画面冻结", "its picture is frozen"),
    "picture-blurred": Phrase("画面模糊", "its picture is blurred"),
    "picture-moved": Phrase("画面偏移", "its view has moved"),
    "recording-stopped": Phrase("录像中断", "recording has stopped"),
    "recording-missing": Phrase("录像通道缺失", "a recording is missing"),
    "retention-short": Phrase("录像保存期不足", "keeps footage too briefly"),
    "port-down": Phrase("交换机端口断开", "its switch port is down"),
    "poe-fault": Phrase("PoE 供电故障", "PoE fault at its port"),
    "host-alive": Phrase("能 ping 通，服务无应答", "answers ping, not the check"),
    "no-events": Phrase("事件订阅无消息", "its events have fallen silent"),
    "signal-loss": Phrase("视频信号丢失", "tells of signal loss"),
    "tampering": Phrase("设备报遮挡", "tells of tampering"),
    "scene-changed": Phrase("设备报场景变更", "tells of a changed scene"),
    "picture-too-dark": Phrase("设备报画面过暗", "tells that its picture is too dark"),
    "picture-too-bright": Phrase("设备报画面过亮", "tells that its picture is too bright"),
    "picture-too-blurry": Phrase("设备报画面模糊", "tells that its picture is blurred"),
    "storage-failure": Phrase("存储故障", "tells of a storage failure"),
    "fan-failure": Phrase("风扇故障", "tells of a fan failure"),
    "power-supply-failure": Phrase("电源故障", "tells of a power supply failure"),
    "temperature-critical": Phrase("温度过高", "tells of a critical temperature"),
    "device-error": Phrase("设备返回错误", "refuses by the standard"),
    "busy": Phrase("设备被占用", "is in use by somebody else"),
    "security-level": Phrase("SNMP 安全级别不足", "SNMP security level too low"),
    "endless": Phrase("SNMP 表无尽头", "its SNMP table does not end"),
    "firmware-changed": Phrase("固件已变更", "its firmware changed"),
    "engine-id-changed": Phrase("SNMP 引擎已更换", "its SNMP engine changed"),
    "restarted": Phrase("设备重启", "it started anew"),
    "engine-boots-stuck": Phrase("SNMP 启动计数异常", "its SNMP boot count is stuck"),
    "check-failed": Phrase("网关检查出错", "a mistake of the gateway's"),
    "common-cause": Phrase("疑似共同原因", "fell together with others"),
}


def phrase(code: str) -> Phrase:
    """What `code` says; a code that has no words, such as one of a profile's own, stands for itself."""
    return PHRASES.get(code) or Phrase(code, code)
