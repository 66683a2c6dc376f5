"""Mail, as text and as HTML, to the people on duty or to the channel's own list; TLS unless the configuration says otherwise."""

import asyncio
import html
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Final

import aiosmtplib

from gateway.clock import Clock
from gateway.config import read_secret
from gateway.errors import InvalidInput
from gateway.notify.channels.base import ChannelFailed
from gateway.notify.channels.outbound import trusting
from gateway.notify.channels.settings import EmailSettings
from gateway.notify.wording import Notice, plain

TEXT_MAX: Final = 100_000
PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}


class Email:
    """See the module. The same message has the same Message-ID, however often it is sent."""

    kind = "email"

    def __init__(self, name: str, settings: EmailSettings, *, clock: Clock, **_others: Any) -> None:
        if settings.security == "none" and settings.username is not None:
            raise InvalidInput(f"channels.{name}: a password is not sent without TLS", code="bad-alerts")
        self.name = name
        self._settings = settings
        self._clock = clock
        self._password = None if settings.password_file is None else read_secret(settings.password_file)
        self._tls = trusting(settings.ca_file) or ssl.create_default_context()
        self._port = settings.port or PORTS[settings.security]
        self.where = f"{settings.host}:{self._port}"

    async def send(self, notice: Notice) -> str:
        to = [box for one in notice.people if (box := one.contact(self.name, self.kind))] or list(self._settings.to)
        if not to:
            raise ChannelFailed(
                "there is nobody to write to: no mailbox on the roster, none in the channel", code="no-contact", again=False
            )
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                answers, said = await aiosmtplib.send(
                    self._letter(notice, to),
                    hostname=self._settings.host,
                    port=self._port,
                    username=self._settings.username,
                    password=self._password,
                    use_tls=self._settings.security == "tls",
                    start_tls=self._settings.security == "starttls",
                    tls_context=None if self._settings.security == "none" else self._tls,
                    timeout=self._settings.timeout_s,
                    recipients=to,
                    sender=self._settings.sender,
                )
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            raise ChannelFailed(f"{self.where} did not answer within {self._settings.timeout_s:g} s", code="channel-timeout") from None
        except aiosmtplib.SMTPException as error:
            raise _failure(error, self.where) from None
        except (OSError, ValueError) as error:
            raise ChannelFailed(f"{self.where} cannot be reached: {type(error).__name__}", code="channel-unreachable") from None
        refused = ", ".join(sorted(answers))
        return f"refused for {refused}" if refused else plain(said)

    def _letter(self, notice: Notice, to: list[str]) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = plain(notice.title, 200)
        letter["From"] = self._settings.sender
        letter["To"] = ", ".join(to)
        letter["Date"] = format_datetime(self._clock.now())
        letter["Message-ID"] = f"<{notice.id}@{self._settings.sender.partition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        letter.set_content(notice.text(limit=TEXT_MAX))
        letter.add_alternative(_page(notice), subtype="html")
        return letter


def _page(notice: Notice) -> str:
    lines = "".join(f"<p>{html.escape(line)}</p>" for line in notice.lines)
    footer = "".join(f"<p><small>{html.escape(line)}</small></p>" for line in notice.footer)
    head = '<!doctype html><html><head><meta charset="utf-8"></head>'
    return f"{head}<body><h3>{html.escape(notice.title)}</h3>{lines}<hr>{footer}</body></html>"


def _failure(error: aiosmtplib.SMTPException, where: str) -> ChannelFailed:
    """What the server said, by its number: its words may quote what it was told."""
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return ChannelFailed(f"{where} refuses user and password", code="channel-credentials", again=False)
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        for_now = any(400 <= refused.code < 500 for refused in error.recipients)  # such as greylisting
        return ChannelFailed(f"{where} takes none of the recipients", code="channel-refused", again=for_now)
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return ChannelFailed(f"{where} answered {error.code}", code="channel-refused", again=400 <= error.code < 500)
    return ChannelFailed(f"{where} cannot be reached: {type(error).__name__}", code="channel-unreachable")
