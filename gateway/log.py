"""Structured logs: JSON lines on standard error, event names plus fields, with every credential redacted in one place.

What libraries tell the standard library's loggers goes the same way, so that nothing reaches standard error past `redact`.
"""

import contextlib
import logging
import re
import sys
from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

_SECRET_KEYS = re.compile(r"pass(word|wd)?|secret|token|api_?key|community|auth_?key|priv_?key|authorization|cookie", re.IGNORECASE)
_SECRETS_IN_TEXT = (
    (re.compile(r"(?<=://)[^/@\s]+@"), "[redacted]@"),
    (re.compile(r"gwk_[\w-]+"), "[redacted]"),
    (re.compile(r"\b(bearer|basic|digest)\s+[^\s'\"\\]{6,}", re.IGNORECASE), r"\1 [redacted]"),
    (
        re.compile(r"\b(password|passwd|secret|community|cookie|authorization)(['\"]?\s*[:=]\s*)(?!bearer|basic|digest)[^\s,;&]+", re.I),
        r"\1\2[redacted]",
    ),
)
_TEXT_LIMIT = 2_000
_DEPTH_LIMIT = 6
_MINUTE_S = 60.0
FOREIGN_PER_MINUTE = 20


def configure(*, level: str = "info", stream: TextIO = sys.stderr) -> None:
    """Set up the process's log. `level` is one of debug, info, warning, error; libraries are heard from warning on."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Unfailing(stream))),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers = [Foreign()]
    root.setLevel(max(threshold, logging.WARNING))


class Foreign(logging.Handler):
    """Takes what libraries log, at most `FOREIGN_PER_MINUTE` lines a minute of each logger; the next line says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._minute = 0.0
        self._lines: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if (left_out := self._left_out(record)) is None:
            return
        fields: dict[str, Any] = {"logger": record.name, "text": _message(record), "exc_info": record.exc_info}
        if left_out:
            fields["left_out"] = left_out
        structlog.get_logger().log(max(record.levelno, logging.DEBUG), "log.foreign", **fields)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the standard library's name
        """Lose the line: the standard library would print its arguments to standard error, unredacted."""

    def _left_out(self, record: logging.LogRecord) -> int | None:
        """How many lines of this minute's predecessors were lost (at its first line), or None when this one is to be."""
        lost = 0
        if abs(record.created - self._minute) >= _MINUTE_S:
            lost = sum(max(0, lines - FOREIGN_PER_MINUTE) for lines in self._lines.values())
            self._minute = record.created
            self._lines.clear()
        self._lines[record.name] += 1
        return lost if self._lines[record.name] <= FOREIGN_PER_MINUTE else None


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
    """Hide the values of secret-looking keys and what looks like a secret in any text, at any depth, and the middle of very long text."""
    for key, value in event.items():
        event[key] = _redacted(key, value, _DEPTH_LIMIT)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:
    if _SECRET_KEYS.search(key):
        return "[redacted]"
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth and isinstance(value, Mapping):
        return {str(name): _redacted(str(name), part, depth - 1) for name, part in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_redacted(key, part, depth - 1) for part in value]
    return _safe_text(str(value))


def _safe_text(text: str) -> str:
    for pattern, instead in _SECRETS_IN_TEXT:
        text = pattern.sub(instead, text)
    half = _TEXT_LIMIT // 2
    return text if len(text) <= _TEXT_LIMIT else f"{text[:half]} … {text[-half:]}"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # its arguments do not fit its text
        return str(record.msg)
