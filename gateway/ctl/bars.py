"""Bars that grow on a terminal, on standard error; where nobody looks, nothing of them is written."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from gateway.ctl.output import harmless

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar(Protocol):
    """One thing that is under way."""

    def to(self, done: float, *, told: str = "") -> None:
        """It has come so far; `told` stands beside it."""


class Bars(Protocol):
    """Several of them, one a line."""

    def add(self, name: str, whole: float) -> Bar:
        """A bar from 0 to `whole`."""


@contextmanager
def bars(*, sizes: bool = True) -> Iterator[Bars]:
    """Bars for the block. `sizes`: they count bytes, with their speed; else they show how much of the whole there is."""
    if not sys.stderr.isatty():
        yield _Unseen()
        return
    from rich import progress as rich  # only a terminal has bars
    from rich.console import Console

    told = (rich.TaskProgressColumn(), rich.TextColumn("{task.fields[told]}", markup=False))
    counted = (rich.DownloadColumn(), rich.TransferSpeedColumn()) if sizes else told
    columns = (rich.TextColumn("{task.description}", markup=False), rich.BarColumn(), *counted, rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=Console(stderr=True)) as shown:
        yield _Seen(shown)


class _Seen:
    def __init__(self, shown: "Progress") -> None:
        self._shown = shown

    def add(self, name: str, whole: float) -> "_SeenBar":
        return _SeenBar(self._shown, self._shown.add_task(harmless(name), total=max(whole, 1e-9), told=""))


class _SeenBar:
    def __init__(self, shown: "Progress", task: "TaskID") -> None:
        self._shown = shown
        self._task = task

    def to(self, done: float, *, told: str = "") -> None:
        self._shown.update(self._task, completed=done, told=harmless(told))


class _Unseen:
    def add(self, _name: str, _whole: float) -> "_Unseen":
        return self

    def to(self, done: float, *, told: str = "") -> None:
        """Nobody looks."""
