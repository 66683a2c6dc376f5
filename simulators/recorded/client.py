"""A small ONVIF client to record with: one SOAP call after the other, signed by WS-UsernameToken, then by HTTP digest when asked to."""

import base64
import hashlib
import http.client
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape

from simulators.digest import Login, fields_of, response
from simulators.onvif import soap

TIMEOUT_S: Final = 15.0
ANSWER_BYTES: Final = 8 * 1024 * 1024
REFUSED: Final = 401
_SECURITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_PROFILE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_UTC: Final = re.compile(
    rb"UTCDateTime>.*?Hour>(\d+)<.*?Minute>(\d+)<.*?Second>(\d+)<.*?Year>(\d+)<.*?Month>(\d+)<.*?Day>(\d+)<", re.DOTALL
)


@dataclass
class Client:
    """`offset`: the device's clock minus ours. `by_digest`: the device has asked for HTTP digest."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    offset: timedelta = timedelta()
    by_digest: bool = False

    def call(self, path: str, namespace: str, operation: str, inner: str = "") -> tuple[int, bytes]:
        """Status and body. Raises OSError, and ValueError for what is no HTTP or too long."""
        content = f'<r:{operation} xmlns:r="{namespace}" xmlns:tt="{soap.PREFIXES["tt"]}">{inner}</r:{operation}>'
        action = f"{namespace}/{operation}"
        status, challenge, body = self._post(path, action, content, authorization="")
        if status == REFUSED and self.user and challenge.lower().startswith("digest"):
            self.by_digest = True
            status, _, body = self._post(path, action, content, authorization=self._digest(challenge, path))
        return status, body

    def read_clock(self, body: bytes) -> None:
        """Take the device's clock from its GetSystemDateAndTimeResponse; without one it is taken for right."""
        if found := _UTC.search(body):
            hour, minute, second, year, month, day = map(int, found.groups())
            try:
                self.offset = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - datetime.now(UTC)
            except ValueError:
                return

    def _post(self, path: str, action: str, content: str, *, authorization: str) -> tuple[int, str, bytes]:
        header = f"<s:Header>{self._token()}</s:Header>" if self.user and not self.by_digest else ""
        envelope = f'<s:Envelope xmlns:s="{soap.ENVELOPE}">{header}<s:Body>{content}</s:Body></s:Envelope>'
        fields = {"Content-Type": f'application/soap+xml; charset=utf-8; action="{action}"'}
        if authorization:
            fields["Authorization"] = authorization
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", path, envelope.encode(), fields)
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES + 1)
        except http.client.HTTPException as error:
            raise ValueError(f"{self.host}:{self.port} does not speak HTTP: {error!r}") from error
        finally:
            connection.close()
        if len(body) > ANSWER_BYTES:
            raise ValueError(f"{action} is answered with more than {ANSWER_BYTES} bytes")
        return answer.status, answer.getheader("WWW-Authenticate") or "", body

    def _token(self) -> str:
        """WS-UsernameToken with a digest of the password (ONVIF Core §5.9.4)."""
        nonce, created = os.urandom(16), (datetime.now(UTC) + self.offset).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + self.password.encode()).digest()).decode()
        return (
            f'<w:Security xmlns:w="{_SECURITY}" xmlns:u="{_UTILITY}"><w:UsernameToken><w:Username>{escape(self.user)}</w:Username>'
            f'<w:Password Type="{_PROFILE}">{digest}</w:Password><w:Nonce>{base64.b64encode(nonce).decode()}</w:Nonce>'
            f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
        )

    def _digest(self, challenge: str, path: str) -> str:
        """The Authorization that answers a challenge (RFC 7616)."""
        asked = fields_of(challenge)
        given = {"uri": path, "nonce": asked.get("nonce", ""), "nc": "00000001", "cnonce": os.urandom(8).hex()}
        if "auth" in asked.get("qop", "").split(",") or asked.get("qop") == "auth":
            given["qop"] = "auth"
        login = Login(asked.get("realm", ""), self.user, self.password, asked.get("algorithm", "MD5"), qop="qop" in given)
        answer = response(login, method="POST", given=given)
        fields = [f'username="{self.user}"', f'realm="{login.realm}"', f'nonce="{given["nonce"]}"', f'uri="{path}"', f'response="{answer}"']
        if "algorithm" in asked:
            fields.append(f"algorithm={asked['algorithm']}")
        if "opaque" in asked:
            fields.append(f'opaque="{asked["opaque"]}"')
        if "qop" in given:
            fields += ["qop=auth", f"nc={given['nc']}", f'cnonce="{given["cnonce"]}"']
        return "Digest " + ", ".join(fields)
