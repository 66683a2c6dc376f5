"""The errors of the gateway, one root and few children, named for what the caller can do next.

`code` is stable and machine-readable: it becomes the reason of a failed check, the `type` of an HTTP problem and the
exit code of a command. `hint` says what a person can do about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class GatewayError(Exception):
    """Root of all errors that the gateway raises on purpose. `values`: the figures and names that belong to the code."""

    code = "gateway-error"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "", values: Mapping[str, str | float] | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.hint = hint
        self.values = dict(values or {})


# -- what the caller asked for cannot be done -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: where it stands (`line 12`, `/targets/0`, `groups[3].name`) and why.

    `code`: the same why for programs, "" where there is none; `values`: the figures and names that belong to it.
    """

    where: str
    why: str
    code: str = ""
    values: Mapping[str, str | float] = field(default_factory=dict, hash=False)


class InvalidInput(GatewayError):
    """The input is wrong; `faults` lists every place, so that all can be mended at once."""

    code = "invalid-input"

    def __init__(self, message: str, *, faults: Sequence[Fault] = (), code: str | None = None, hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.faults = tuple(faults)


class NotFound(GatewayError):
    """What was named does not exist, or the caller may not know that it does."""

    code = "not-found"


class Conflict(GatewayError):
    """The thing is in a state that does not allow this (RFC 9110, 15.5.10)."""

    code = "conflict"


class Forbidden(GatewayError):
    """The caller is known and may not do this."""

    code = "forbidden"


class Overloaded(GatewayError):
    """A bound was reached; the same call may succeed later."""

    code = "overloaded"


class StorageFailed(GatewayError):
    """The store did not take a change; nothing of it was acknowledged."""

    code = "storage-failed"


# -- a device did not do what was asked -------------------------------------------------------------------------------


class DeviceError(GatewayError):
    """Something between us and a device went wrong; the children say what can be done next."""

    code = "device-error"


class Unreachable(DeviceError):
    """No connection, or it broke: retry later. Codes: refused, reset, no-route, closed; truncated when half of an answer had come."""

    code = "unreachable"


class DeadlineExceeded(DeviceError):
    """The device was silent (timeout), or began to answer and did not come to an end (slow): retry later."""

    code = "timeout"


class AuthenticationFailed(DeviceError):
    """The device refuses the credentials: do not retry with the same ones (rule 5).

    Codes: bad-credentials, clock-skew, stale-nonce, too-many-connections, locked-out, unknown-user, wrong-auth-key, privacy-key-suspected.
    """

    code = "bad-credentials"


class ProtocolError(DeviceError):
    """The device erred: what it sent is not what the standard allows.

    Codes: malformed, wrong-operation, too-large, redirect, dtd, not-http.
    """

    code = "malformed"


class DeviceFault(DeviceError):
    """The device answered, by the standard, that it will not: a SOAP fault, an RTSP status, an SNMP error status.

    `detail` carries the subcodes or the status (untrusted text).
    """

    code = "fault"

    def __init__(self, message: str, *, code: str | None = None, hint: str = "", detail: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.detail = detail


class NotSupported(DeviceFault):
    """The device lacks this capability: give up, it is normal."""

    code = "not-supported"


class Busy(DeviceFault):
    """The device is in use by somebody else (RTSP 453, 503): retry later, or pre-empt."""

    code = "busy"


class WrongDevice(DeviceError):
    """Another device answers at this address: do nothing with it."""

    code = "wrong-device"
