"""What keeps a spreadsheet from running a cell of a CSV file as a formula, and how the cell is read back."""

import re
from typing import Final

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # Chinese and Japanese spreadsheets take the wide ones for signs, too
"""How one begins, with the apostrophes before it that were in the text itself: reading takes one away."""


def guarded(text: str) -> str:
    """`text` behind an apostrophe when a spreadsheet might run it."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(cell: str) -> str:
    """The text that was `guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
