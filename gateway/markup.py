"""Untrusted text as text of a page of HTML: the one sanitiser of that sink."""

import html
import re
from typing import Final

_UNSEEN: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def text(value: object) -> str:
    """Anything as text of the page: escaped, without what cannot be seen or turns the writing round."""
    return html.escape(_UNSEEN.sub("", str(value)), quote=True)
