"""How a command fails: an exit code, what happened, and the next thing to do."""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """What a script may rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    REFUSED = 4  # not found, or not allowed
    PARTIAL = 5


class Failed(Exception):
    """The command ends here. `faults`: places and reasons; `hint`: the next thing to do; `status` and `code`: of an HTTP answer."""

    def __init__(
        self,
        message: str,
        *,
        exit_code: Exit = Exit.FAILED,
        hint: str = "",
        faults: Sequence[str] = (),
        status: int = 0,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.exit_code = exit_code
        self.hint = hint
        self.faults = tuple(faults)
