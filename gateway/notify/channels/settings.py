"""What the alerts file says of each channel: one model a kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gateway.config import Seconds, Section


def _http(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must not hold a password, a query or a fragment; secrets go into a file")
    return url.rstrip("/") if parts.path in {"", "/"} else url


Url = Annotated[str, AfterValidator(_http)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Mailbox = Annotated[str, Field(pattern=r"^[^@\s<>,;]{1,64}@[A-Za-z0-9.-]{1,190}$")]


class Sending(Section):
    """What all channels share. `per_minute`: at most so many messages; what is over waits."""

    language: Literal["zh", "en", "both"] | None = None
    timeout_s: Seconds = 10.0
    per_minute: Annotated[int, Field(ge=1, le=600)] = 20


class Web(Sending):
    """A channel over HTTP. `proxy`: the one relay that it may go through; `ca_file`: who signed the other side's certificate."""

    proxy: Url | None = None
    ca_file: Path | None = None


class WebhookSettings(Web):
    """JSON to an address of one's own; signed with HMAC-SHA256 where a secret is named."""

    kind: Literal["webhook"]
    url: Url
    secret_file: Path | None = None
    per_minute: Annotated[int, Field(ge=1, le=600)] = 60


class DingTalkSettings(Web):
    """A group's custom robot: its access token, and its secret where it is set to signing."""

    kind: Literal["dingtalk"]
    token_file: Path
    secret_file: Path | None = None
    base_url: Url = "https://oapi.dingtalk.com"


class WeComSettings(Web):
    """A group's robot: the key of its webhook."""

    kind: Literal["wecom"]
    key_file: Path
    base_url: Url = "https://qyapi.weixin.qq.com"


class FeishuSettings(Web):
    """A group's custom robot: the last part of its webhook, and its secret where it is set to signing."""

    kind: Literal["feishu"]
    token_file: Path
    secret_file: Path | None = None
    base_url: Url = "https://open.feishu.cn"


class EmailSettings(Sending):
    """A mail server, and who gets what is not for the person on duty."""

    kind: Literal["email"]
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: Path | None = None
    sender: Mailbox
    to: tuple[Mailbox, ...] = ()
    ca_file: Path | None = None


class MqttSettings(Sending):
    """The broker of the gateway's own configuration: `alerts/NAME` under its prefix."""

    kind: Literal["mqtt"]
    per_minute: Annotated[int, Field(ge=1, le=600)] = 600


ChannelSettings = WebhookSettings | EmailSettings | DingTalkSettings | WeComSettings | FeishuSettings | MqttSettings
KINDS: Final[Mapping[str, type[Sending]]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(ChannelSettings)
}
"""By the word that `kind` has in the file."""
