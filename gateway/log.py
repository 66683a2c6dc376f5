"""Structured logs: JSON lines on standard error, event names plus fields, with every credential redacted in one place."""

import contextlib
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

_SECRET_KEYS = re.compile(r"pass(word|wd)?|secret|token|api_?key|community|auth_?key|priv_?key|authorization|cookie", re.IGNORECASE)
_URL_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_TEXT_LIMIT = 2_000


def configure(*, level: str = "info", stream: TextIO = sys.stderr) -> None:
    """Set up structlog for the process. `level` is one of debug, info, warning, error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing(stream))),
        cache_logger_on_first_use=True,
    )


class _Unfailing:
    """A stream whose lines are lost when it cannot take them: a full disk behind the log must not end what writes to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the values of secret-looking keys, user names and passwords in URLs, and the tail of very long text."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = _URL_USERINFO.sub("[redacted]@", value)[:_TEXT_LIMIT]
    return event
