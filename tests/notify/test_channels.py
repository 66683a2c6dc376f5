"""Each channel against a real other side on loopback that checks what the vendor checks."""

import asyncio
import contextlib
import email
import email.policy
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from demo.processes import free_port
from gateway.clock import SystemClock
from gateway.domain.alerting import Kind, Message
from gateway.domain.duty import Shift, ShiftId
from gateway.domain.severity import Severity
from gateway.domain.trouble import Trouble, Victim, trouble_of
from gateway.notify.channels import Channel, make_channel
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.channels.outbound import never
from gateway.notify.channels.settings import (
    DingTalkSettings,
    EmailSettings,
    FeishuSettings,
    MqttSettings,
    WebhookSettings,
    WeComSettings,
)
from gateway.notify.wording import Notice, Scribe, size
from tests.domain.troubles import START, incident_json
from tests.notify import receivers
from tests.notify.receivers import CANARIES, Vendors

SHIFT = Shift(
    id=ShiftId("S-1"),
    person="王建国",
    start=START,
    end=START.replace(hour=20),
    contacts={"email": "wang@example.com", "dingtalk": "13800000000", "wecom": "wangjg", "feishu": "ou_wang", "phone": "13800000000"},
)
SCRIBE = Scribe(
    "zh", ZoneInfo("Asia/Shanghai"), {"g-1": "舜耕路 东门", "g-2": "舜耕路 广场"}.get, {"sw-1": {"camera": 30, "switch": 4}}.get
)


def message(*troubles: Trouble, kind: Kind = Kind.PROBLEM) -> Message:
    about = troubles or (trouble_of(incident_json()),)
    return Message(
        id="A-1.1", bundle="A-1", route="all", kind=kind, at=START.replace(minute=5), severity=Severity.CRITICAL, troubles=about,
        incidents=tuple(one.id for one in about),
    )  # fmt: skip


def notice(*troubles: Trouble, scribe: Scribe = SCRIBE, on_duty: bool = True) -> Notice:
    return scribe.notice(message(*troubles), [SHIFT], asked_on_duty=on_duty)


@pytest.fixture
async def there() -> AsyncIterator[Vendors]:
    async with receivers.vendors() as opened:
        yield opened


@pytest.fixture
def secret(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / f"secret-{text}"
        path.write_text(text + "\n")
        return path

    return write


def channel_of(settings: Any, publish: Any = never) -> Channel:
    return make_channel("ops", settings, clock=SystemClock(), publish=publish)


@pytest.fixture
def robots(there: Vendors, secret: Any) -> dict[str, Channel]:
    hook = WebhookSettings(kind="webhook", url=f"{there.url}/hook", secret_file=secret(receivers.HOOK_SECRET))
    ding = DingTalkSettings(
        kind="dingtalk", token_file=secret(receivers.DING_TOKEN), secret_file=secret(receivers.DING_SECRET), base_url=there.url
    )
    wecom = WeComSettings(kind="wecom", key_file=secret(receivers.WECOM_KEY), base_url=there.url)
    feishu = FeishuSettings(
        kind="feishu", token_file=secret(receivers.FEISHU_TOKEN), secret_file=secret(receivers.FEISHU_SECRET), base_url=there.url
    )
    return {one.kind: channel_of(one) for one in (hook, ding, wecom, feishu)}


KINDS = ("webhook", "dingtalk", "wecom", "feishu")


def text_of(body: Any) -> str:
    """What a person reads of what a vendor was given."""
    if "markdown" in body:
        return str(body["markdown"].get("text") or body["markdown"]["content"])
    if "content" in body:
        post = body["content"]["post"]["zh_cn"]
        return "\n".join((post["title"], *("".join(tag.get("text") or tag["user_id"] for tag in line) for line in post["content"])))
    return str(body["text"])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_arrives_signed_and_complete_without_a_link(kind: str, there: Vendors, robots: dict[str, Channel]) -> None:
    await robots[kind].send(notice())
    assert there.refused == []
    text = text_of(there.got[0])
    for part in (
        "故障·紧急",
        "舜耕路汇聚交换机",
        "2026-03-02 12:00:00",
        "历下",
        "舜耕路 东门",
        "9 台摄像机",
        "录像中断:17 台",
        "下联设备共:30 台摄像机",
        "东门枪机1",
        "王建国",
        "I-1",
        "A-1.1",
    ):
        assert part in text, part
    assert "http" not in text


async def test_people_on_duty_are_mentioned_as_each_vendor_does(there: Vendors, robots: dict[str, Channel]) -> None:
    for kind in ("dingtalk", "wecom", "feishu"):
        await robots[kind].send(notice())
    ding, wecom, feishu = there.got
    assert ding["at"]["atMobiles"] == ["13800000000"] and "@13800000000" in ding["markdown"]["text"]
    assert "<@wangjg>" in wecom["markdown"]["content"]
    assert feishu["content"]["post"]["zh_cn"]["content"][-1] == [{"tag": "at", "user_id": "ou_wang"}]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_thousand_incidents_keep_to_the_vendors_length(kind: str, there: Vendors, robots: dict[str, Channel]) -> None:
    many = [trouble_of(incident_json(f"I-{number}", title={"zh": "很" * 150, "en": "x"})) for number in range(200)]
    await robots[kind].send(notice(*many))
    assert there.refused == []
    text = text_of(there.got[0])
    assert "已截断" in text and "王建国" in text and "A-1.1" in text


@pytest.mark.parametrize("kind", KINDS)
async def test_a_devices_name_makes_no_link_no_mention_and_no_new_line(kind: str, there: Vendors, robots: dict[str, Channel]) -> None:
    evil = "[点我](http://evil.example)\n# @all <@all> **x** <b>"
    trouble = replace(trouble_of(incident_json()), victims=(Victim("cam-1", evil, "camera"),), title_zh=evil)
    await robots[kind].send(notice(trouble))
    text = text_of(there.got[0])
    assert "://" not in text
    assert text.count("\n") <= text_of_plain(notice()).count("\n") * 2 + 6
    if kind in {"dingtalk", "wecom"}:
        assert "](" not in text and "<@all>" not in text and "@all" not in text and "<b>" not in text


def text_of_plain(one: Notice) -> str:
    return one.text(limit=100_000)


@pytest.mark.parametrize(
    ("kind", "fault", "code", "again"),
    [
        ("dingtalk", {"errcode": 310000, "errmsg": "keywords not in content"}, "channel-refused", False),
        ("dingtalk", {"errcode": 130101, "errmsg": "send too fast"}, "channel-rate-limited", True),
        ("dingtalk", {"errcode": -1, "errmsg": "system busy"}, "channel-refused", True),
        ("dingtalk", {"errcode": 300001, "errmsg": "token is not exist"}, "channel-refused", False),
        ("dingtalk", {"errcode": 400105, "errmsg": "unsupported msgtype"}, "channel-refused", False),
        ("dingtalk", {"errcode": 88, "errmsg": "a number that nobody knows"}, "channel-refused", True),
        ("wecom", {"errcode": 40008, "errmsg": "invalid message type"}, "channel-refused", False),
        ("wecom", {"errcode": 42, "errmsg": "a number that nobody knows"}, "channel-refused", True),
        ("wecom", {"errcode": 45009, "errmsg": "api freq out of limit"}, "channel-rate-limited", True),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, "channel-refused", False),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, "channel-refused", False),
        ("feishu", {"code": 11232, "msg": "frequency limited"}, "channel-rate-limited", True),
        ("feishu", {"code": 19024, "msg": "Key Words Not Found"}, "channel-refused", False),
        ("feishu", {"code": 2200, "msg": "internal error"}, "channel-refused", True),
        ("feishu", {"surprise": True}, "channel-answer", True),
        ("wecom", "<html>a portal</html>", "channel-answer", True),
    ],
)
async def test_a_refusal_in_a_200_is_recognised(
    kind: str, fault: Any, code: str, again: bool, there: Vendors, robots: dict[str, Channel]
) -> None:
    there.faults.append(web.json_response(fault) if isinstance(fault, dict) else web.Response(text=fault))
    with pytest.raises(ChannelFailed) as caught:
        await robots[kind].send(notice())
    assert (caught.value.code, caught.value.again) == (code, again)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "code", "again"),
    [
        (lambda: web.Response(status=503), "channel-refused", True),
        (lambda: web.Response(status=403), "channel-refused", False),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.2:9/secret"}), "channel-redirect", False),
        (lambda: web.Response(status=429, headers={"Retry-After": "7"}), "channel-rate-limited", True),
        (lambda: web.Response(body=b"x" * 200_000), "channel-answer", True),
    ],
)
async def test_bad_answers_are_told_apart_and_tell_no_secret(
    kind: str, answer: Any, code: str, again: bool, there: Vendors, robots: dict[str, Channel]
) -> None:
    there.faults.append(answer())
    with pytest.raises(ChannelFailed) as caught:
        await robots[kind].send(notice())
    assert (caught.value.code, caught.value.again) == (code, again)
    _tells_no_secret(caught.value, robots[kind])


def _tells_no_secret(error: BaseException, channel: Channel) -> None:
    told = f"{error!r} {error} {error.__cause__!r} {channel.where} {getattr(channel, '_out', '')!r}"
    assert not any(canary in told for canary in CANARIES)


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_there_and_a_relay_that_is_not_there_are_told_without_a_secret(kind: str, secret: Any) -> None:
    base = {"proxy": "http://127.0.0.1:9"}
    settings: dict[str, Any] = {
        "webhook": WebhookSettings(kind="webhook", url="http://127.0.0.1:9/hook", secret_file=secret(receivers.HOOK_SECRET), **base),
        "dingtalk": DingTalkSettings(kind="dingtalk", token_file=secret(receivers.DING_TOKEN), base_url="http://127.0.0.1:9", **base),
        "wecom": WeComSettings(kind="wecom", key_file=secret(receivers.WECOM_KEY), base_url="http://127.0.0.1:9", **base),
        "feishu": FeishuSettings(kind="feishu", token_file=secret(receivers.FEISHU_TOKEN), base_url="http://127.0.0.1:9", **base),
    }
    channel = channel_of(settings[kind])
    with pytest.raises(ChannelFailed, match=r"cannot be reached by 127\.0\.0\.1:9") as caught:
        await channel.send(notice())
    assert caught.value.code == "channel-unreachable"
    _tells_no_secret(caught.value, channel)


async def test_a_silent_side_is_left_at_the_deadline(secret: Any) -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    with pytest.raises(ChannelFailed) as caught:
        await channel_of(WebhookSettings(kind="webhook", url=url, timeout_s=0.2)).send(notice())
    assert caught.value.code == "channel-timeout"
    server.close()


async def test_a_relay_is_used_and_nothing_else(there: Vendors) -> None:
    asked: list[str] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().strip())
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await channel_of(WebhookSettings(kind="webhook", url="http://duty.example/alerts", proxy=proxy)).send(notice())
    assert asked == ["POST http://duty.example/alerts HTTP/1.1"]
    assert there.got == []
    server.close()


async def test_variables_of_the_environment_are_no_relay(there: Vendors, robots: dict[str, Channel], monkeypatch: Any) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    await robots["webhook"].send(notice())
    assert len(there.got) == 1


def test_any_limit_is_kept_and_the_footer_stays() -> None:
    many = notice(*(trouble_of(incident_json(f"I-{number}")) for number in range(30)))
    for limit in (900, 1_500, 4_096, 20_000):
        text = many.text(limit=limit)
        assert size(text) <= limit
        assert text.endswith("A-1.1")


def test_the_end_of_what_a_person_closed_says_who_closed_it() -> None:
    over = trouble_of(incident_json(state="resolved", resolved_at=START.isoformat(), resolved_by="user:wang"))
    text = SCRIBE.notice(message(over, kind=Kind.RECOVERY), [], asked_on_duty=False).text(limit=9_000)
    assert "由 user:wang 人工关闭" in text


def test_both_languages_say_the_same() -> None:
    text = notice(scribe=replace(SCRIBE, language="both")).text(limit=100_000)
    for part in ("故障·紧急", "Problem, critical", "9 台摄像机", "cameras: 9", "值班:王建国", "On duty: 王建国"):
        assert part in text


# -- mail ------------------------------------------------------------------------------------------------------------------


class Mailbox:
    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.envelopes: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        self.letters.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("later"):
            return "451 greylisted, try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    path = folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text((folder / "key").read_text() + (folder / "cert").read_text())
    return path


@pytest.fixture
def mail(certificate: Path) -> Iterator[tuple[Mailbox, int]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"gateway", b"m4il-canary")
        return AuthResult(success=right, handled=not right and False)

    box = Mailbox()
    server = Controller(
        box, hostname="127.0.0.1", port=0, tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate
    )
    server.port = free_port(0)
    server.start()
    yield box, server.port
    server.stop()


def _settings(listening: int, secret: Any, certificate: Path, **changes: Any) -> EmailSettings:
    values: dict[str, Any] = {
        "kind": "email",
        "host": "127.0.0.1",
        "port": listening,
        "username": "gateway",
        "password_file": secret("m4il-canary"),
        "sender": "gateway@example.com",
        "to": ("ops@example.com",),
        "ca_file": certificate,
    }
    return EmailSettings(**(values | changes))


async def test_a_letter_goes_by_starttls_with_text_and_html_to_the_person_on_duty(mail: Any, secret: Any, certificate: Path) -> None:
    box, port = mail
    channel = channel_of(_settings(port, secret, certificate))
    await channel.send(notice())
    await channel.send(notice(on_duty=False))
    first, second = box.letters
    assert (first["To"], second["To"]) == ("wang@example.com", "ops@example.com")
    assert first["Message-ID"] == second["Message-ID"] == "<A-1.1@example.com>"
    assert "舜耕路汇聚交换机" in first["Subject"]
    text, page = (part.get_content() for part in first.iter_parts())
    assert "东门枪机1" in text and "<h3>" in page and "东门枪机1" in page


async def test_html_of_a_device_is_text_in_a_letter(mail: Any, secret: Any, certificate: Path) -> None:
    box, port = mail
    trouble = replace(trouble_of(incident_json()), title_zh="<script>alert(1)</script>\r\nBcc: all@example.com")
    await channel_of(_settings(port, secret, certificate)).send(notice(trouble))
    letter = box.letters[0]
    assert "<script>" not in list(letter.iter_parts())[1].get_content()
    assert letter["Bcc"] is None and box.envelopes[0].rcpt_tos == ["wang@example.com"]


@pytest.mark.parametrize(
    ("changes", "code", "again"),
    [
        ({"password_file": "wrong"}, "channel-credentials", False),
        ({"to": ("nobody@example.com",)}, "channel-refused", False),
        ({"to": ("later@example.com",)}, "channel-refused", True),
        ({"to": ()}, "no-contact", False),
        ({"ca_file": None}, "channel-unreachable", True),
        ({"port": 9}, "channel-unreachable", True),
    ],
)
async def test_what_keeps_a_letter_from_going(
    changes: dict[str, Any], code: str, again: bool, mail: Any, secret: Any, certificate: Path
) -> None:
    if "password_file" in changes:
        changes = {"password_file": secret("another")}
    channel = channel_of(_settings(mail[1], secret, certificate, **changes))
    with pytest.raises(ChannelFailed) as caught:
        await channel.send(notice(on_duty=False))
    assert (caught.value.code, caught.value.again) == (code, again)
    assert "canary" not in f"{caught.value!r}"
    assert mail[0].letters == []


# -- MQTT ------------------------------------------------------------------------------------------------------------------


async def test_mqtt_hands_the_message_to_the_connection_of_the_house() -> None:
    published: list[tuple[str, bytes]] = []

    async def publish(topic: str, payload: bytes) -> None:
        published.append((topic, payload))

    await channel_of(MqttSettings(kind="mqtt"), publish).send(notice())
    assert published[0][0] == "alerts/ops"
    assert b'"id":"A-1.1"' in published[0][1]
    with pytest.raises(ChannelFailed, match="no broker"):
        await channel_of(MqttSettings(kind="mqtt")).send(notice())
