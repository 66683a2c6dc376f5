"""What people read: titles and bodies of all messages in Chinese and English, from this one place."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from gateway.domain.alerting import Kind, Message
from gateway.domain.duty import Shift
from gateway.domain.reasons import phrase
from gateway.domain.severity import Severity
from gateway.domain.trouble import LISTED, Trouble, trouble_json
from gateway.domain.words import SEVERITIES, noun

NAMES_SHOWN = 8
PLACES_SHOWN = 4
_LENGTH = 80  # of a name; of a title twice as much

WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "problem": "故障",
        "update": "更新",
        "reminder": "提醒",
        "escalation": "升级",
        "summary": "汇总",
        "recovery": "恢复",
        "test": "测试",
        "counted": "{n} 台{kind}",
        "one": "【{kind}·{severity}】{title}",
        "many": "【{kind}·{severity}】{n} 起故障:{title} 等",
        "severity": "级别:{severity}",
        "since": "开始:{at}(已 {lasted})",
        "ended": "时段:{at} 至 {until}(历时 {lasted})",
        "place": "地点:{places}",
        "affected": "影响:{kinds}",
        "behind": "下联设备共:{kinds}",
        "unrecorded": "录像中断:{n} 台摄像机",
        "names": "设备:{names}",
        "and_more": "{names} 等 {n} 个",
        "reason": "原因:{reason}",
        "acknowledged": "已由 {who} 确认",
        "closed": "由 {who} 人工关闭,设备未必已恢复",
        "id": "编号:{id}",
        "over": "期间已恢复 {n} 起:",
        "others": "另有 {n} 起此前已通知的故障未恢复",
        "more": "还有 {n} 起,未逐一列出",
        "escalated": "无人确认,升级到第 {level} 级",
        "duty": "值班:{people}",
        "nobody": "值班:无人在班",
        "message": "消息:{id}",
        "cut": "…(内容过长,已截断)",
        "comma": "、",
        "test_title": "【测试】告警通道 {channel}",
        "test_line": "这是一条测试消息,收到即表示通道可用。",
        "sent_at": "发送:{at}",
        "minutes": "{n} 分钟",
        "hours": "{n} 小时",
        "days": "{n} 天",
        "seconds": "{n} 秒",
    },
    "en": {
        "problem": "Problem",
        "update": "Update",
        "reminder": "Reminder",
        "escalation": "Escalation",
        "summary": "Summary",
        "recovery": "Recovered",
        "test": "Test",
        "counted": "{kind}: {n}",
        "one": "[{kind}, {severity}] {title}",
        "many": "[{kind}, {severity}] {n} incidents: {title}, …",
        "severity": "Severity: {severity}",
        "since": "Since: {at} ({lasted})",
        "ended": "From {at} to {until} ({lasted})",
        "place": "Place: {places}",
        "affected": "Affected: {kinds}",
        "behind": "Behind it in all: {kinds}",
        "unrecorded": "Not recorded: {n} cameras",
        "names": "Devices: {names}",
        "and_more": "{names} and others, {n} in all",
        "reason": "Reason: {reason}",
        "acknowledged": "Acknowledged by {who}",
        "closed": "Closed by {who}; not everything need be back",
        "id": "Id: {id}",
        "over": "Over meanwhile: {n}",
        "others": "{n} more that were told before are not over",
        "more": "{n} more, not listed",
        "escalated": "Nobody acknowledged: escalated to level {level}",
        "duty": "On duty: {people}",
        "nobody": "On duty: nobody",
        "message": "Message: {id}",
        "cut": "… (too long, cut)",
        "comma": ", ",
        "test_title": "[Test] alert channel {channel}",
        "test_line": "This is a test; if you can read it, the channel works.",
        "sent_at": "Sent: {at}",
        "minutes": "{n} min",
        "hours": "{n} h",
        "days": "{n} days",
        "seconds": "{n} s",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message as people read it, whatever carries it. `lines` may be cut from the end where a carrier has a limit; `footer` may not.

    `data` is the same for programs; `people` are those on duty whom it is for.
    """

    id: str
    kind: Kind
    severity: str
    title: str
    lines: tuple[str, ...]
    footer: tuple[str, ...]
    data: Mapping[str, Any] = field(default_factory=dict)
    people: tuple[Shift, ...] = ()
    cut: str = "…"

    def text(self, *, limit: int, safe: Callable[[str], str] = str, newline: str = "\n", titled: str = "{}", reserve: int = 0) -> str:
        """Title, lines and footer in at most `limit` bytes of UTF-8, less `reserve`; `safe` makes each line harmless for the carrier."""
        head, tail = titled.format(safe(self.title)), [safe(line) for line in self.footer]
        kept: list[str] = []
        room = limit - reserve - size(newline.join((head, self.cut, *tail))) - size(newline)
        for line in map(safe, self.lines):
            room -= size(line) + size(newline)
            if room < 0:
                kept.append(self.cut)
                break
            kept.append(line)
        return newline.join((head, *kept, *tail))


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(text.encode("utf-8", "replace"))


def plain(text: str, length: int = _LENGTH) -> str:
    """Device text as one line without anything that a terminal, a mail or a chat takes for more than text."""
    clean = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+", " ", text).replace("://", ":/ /").strip()
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def severity_in(language: str, severity: Severity) -> str:
    """`severity` in one language."""
    called = SEVERITIES[severity]
    return called.zh if language == "zh" else called.en


_MARKS = str.maketrans("[]()<>*`#@!|\\~", "［］（）＜＞＊｀＃＠！｜＼～")


def unmarked(text: str) -> str:
    """`text` without a sign that Markdown, a mention or a link is made of: vendors differ in what they let one escape."""
    return text.translate(_MARKS)


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes notices in one language (`zh`, `en` or `both`) and time zone.

    `group_name` gives a camera group's street and name; `behind` how many devices of each kind hang on a device, directly or not.
    """

    language: str
    zone: tzinfo
    group_name: Callable[[str], str] = str
    behind: Callable[[str], Mapping[str, int]] = lambda _device: {}

    def notice(self, message: Message, people: Sequence[Shift], *, asked_on_duty: bool) -> Notice:
        """`message` for those `people` who are on duty. `asked_on_duty`: its route goes to whoever is."""
        pages = self._pages()
        return Notice(
            id=message.id,
            kind=message.kind,
            severity=message.severity.value,
            title=" / ".join(page.title(message) for page in pages),
            lines=tuple(line for page in pages for line in page.body(message)),
            footer=tuple(line for page in pages for line in page.footer(message, people, asked_on_duty=asked_on_duty)),
            data=_data(message, people),
            people=tuple(people) if asked_on_duty else (),
            cut=pages[0].say("cut"),
        )

    def test(self, id_: str, channel: str, now: datetime) -> Notice:
        """What the test button sends."""
        pages = self._pages()
        return Notice(
            id=id_,
            kind=Kind.TEST,
            severity="warning",
            title=" / ".join(page.say("test_title", channel=channel) for page in pages),
            lines=tuple(page.say("test_line") for page in pages),
            footer=(*(page.say("sent_at", at=page.moment(now)) for page in pages), pages[0].say("message", id=id_)),
            data={"id": id_, "kind": Kind.TEST.value, "channel": channel, "at": now.isoformat()},
            cut=pages[0].say("cut"),
        )

    def _pages(self) -> Sequence["_Page"]:
        languages = ("zh", "en") if self.language == "both" else (self.language,)
        return [_Page(language, self.zone, self.group_name, self.behind) for language in languages]


@dataclass(frozen=True, slots=True)
class _Page:
    """A notice in one language."""

    language: str
    zone: tzinfo
    group_name: Callable[[str], str]
    behind: Callable[[str], Mapping[str, int]]

    def say(self, template: str, **values: object) -> str:
        return WORDS[self.language][template].format(**values)

    def title(self, message: Message) -> str:
        about = message.troubles or message.over
        words = {"kind": self.say(message.kind), "severity": severity_in(self.language, message.severity)}
        title = self._title_of(about[0])
        count = len(message.incidents)
        return self.say("one", title=title, **words) if count == 1 else self.say("many", title=title, n=count, **words)

    def body(self, message: Message) -> Iterator[str]:
        if message.kind is Kind.ESCALATION:
            yield self.say("escalated", level=message.level)
        alone = len(message.incidents) == 1
        for number, trouble in enumerate(message.troubles, 1):
            if not alone:
                yield f"{number}. {self._title_of(trouble)}"
            yield from self._about(trouble, message.at)
        if message.over:
            yield self.say("over", n=len(message.over))
            yield from (f"- {self._title_of(trouble)} ({trouble.id}) {self._when(trouble, message.at)}" for trouble in message.over)
        if message.more:
            yield self.say("more", n=message.more)

    def footer(self, message: Message, people: Sequence[Shift], *, asked_on_duty: bool) -> Iterator[str]:
        if message.others:
            yield self.say("others", n=message.others)
        if people:
            yield self.say("duty", people=self.say("comma").join(_person(one) for one in people))
        elif asked_on_duty:
            yield self.say("nobody")
        yield self.say("message", id=message.id)

    def moment(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def _title_of(self, trouble: Trouble) -> str:
        return plain(trouble.title_zh if self.language == "zh" else trouble.title_en, 2 * _LENGTH)

    def _about(self, trouble: Trouble, now: datetime) -> Iterator[str]:
        yield self.say("severity", severity=severity_in(self.language, trouble.severity))
        yield self._when(trouble, now)
        if places := self._places(trouble):
            yield self.say("place", places=places)
        if trouble.kinds or trouble.devices:
            counted = {kind: n for kind, n in trouble.kinds.items() if n} or {"device": trouble.devices}
            yield self.say("affected", kinds=self.say("comma").join(self._counted(kind, n) for kind, n in sorted(counted.items())))
        behind = self.behind(trouble.cause.get("device", ""))
        if not trouble.over and sum(behind.values()) >= max(1, trouble.devices):
            yield self.say("behind", kinds=self.say("comma").join(self._counted(kind, n) for kind, n in sorted(behind.items())))
        if trouble.unrecorded:
            yield self.say("unrecorded", n=trouble.unrecorded)
        if trouble.victims:
            yield self.say("names", names=self._few([plain(one.name) for one in trouble.victims], NAMES_SHOWN, trouble.devices))
        if trouble.reason:
            yield self.say("reason", reason=self._because(trouble.reason))
        if trouble.known_by:
            yield self.say("acknowledged", who=plain(trouble.known_by))
        if trouble.over and trouble.resolved_by:
            yield self.say("closed", who=plain(trouble.resolved_by))
        yield self.say("id", id=trouble.id)

    def _because(self, code: str) -> str:
        """A reason in words, with the code by which the operator's table has it."""
        said = phrase(code).zh if self.language == "zh" else phrase(code).en
        return plain(said if said == code else f"{said} ({code})")

    def _when(self, trouble: Trouble, now: datetime) -> str:
        at = self.moment(trouble.opened_at)
        if trouble.over:
            until = trouble.resolved_at or now
            return self.say("ended", at=at, until=self.moment(until), lasted=self._lasted(until - trouble.opened_at))
        return self.say("since", at=at, lasted=self._lasted(now - trouble.opened_at))

    def _lasted(self, time: timedelta) -> str:
        seconds = max(0, round(time.total_seconds()))
        if seconds < 120:
            return self.say("seconds", n=seconds)
        if seconds < 7_200:
            return self.say("minutes", n=seconds // 60)
        return self.say("hours", n=seconds // 3_600) if seconds < 172_800 else self.say("days", n=seconds // 86_400)

    def _places(self, trouble: Trouble) -> str:
        districts = [plain(one) for one in trouble.districts]
        groups = [plain(self.group_name(one)) for one in trouble.groups]
        parts = [
            self._few(names, PLACES_SHOWN, len(names)) for names in (districts, groups or [plain(one) for one in trouble.cells]) if names
        ]
        return " / ".join(parts)

    def _counted(self, kind: str, count: int) -> str:
        called = noun(kind)
        return self.say("counted", kind=called.zh if self.language == "zh" else called.plural, n=count)

    def _few(self, names: Sequence[str], most: int, count: int) -> str:
        shown = self.say("comma").join(names[:most])
        all_ = max(count, len(names))
        number = f"{all_}+" if count == LISTED else str(all_)
        return shown if all_ <= most else self.say("and_more", names=shown, n=number)


def _person(shift: Shift) -> str:
    phone = shift.contacts.get("phone", "")
    return f"{plain(shift.person)} {plain(phone)}".strip()


def _data(message: Message, people: Sequence[Shift]) -> dict[str, Any]:
    """What programs are told."""
    return {
        "id": message.id,
        "kind": message.kind.value,
        "bundle": message.bundle,
        "route": message.route,
        "at": message.at.isoformat(),
        "severity": message.severity.value,
        "level": message.level,
        "incidents": [trouble_json(one) for one in message.troubles],
        "over": [trouble_json(one) for one in message.over],
        "others": message.others,
        "more": message.more,
        "on_duty": [{"person": one.person, "level": one.level, "phone": one.contacts.get("phone", "")} for one in people],
    }
