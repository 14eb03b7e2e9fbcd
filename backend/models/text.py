"""Text from outside: character references, and characters that cannot be shown."""

import re
from html import unescape
from html.entities import html5

#: One that lacks its semicolon is none: `AT&T`, `?a=1&copy=2`. No honest number is longer.
_REFERENCE = re.compile(
    r"&(?:#([0-9]{1,12})|#[xX]([0-9a-fA-F]{1,12})|([A-Za-z][A-Za-z0-9]{1,31}));"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Control characters, those that show nothing or turn the direction of what follows (also the
#: tags of plane 14, by which text is hidden from people and not from machines), halves of
#: surrogate pairs. The joiners U+200C and U+200D stay: Persian and emoji need them.
_UNSEEN = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
)
_UNSHOWABLE = re.compile(f"[{_UNSEEN}]")
_NOT_ONE_LINE = re.compile(f"[{_UNSEEN}\t-\r\x1c-\x1f\x85\u2028\u2029]")
_SPACES = re.compile(r"\s+")


def unescaped(text: str) -> str:
    """`text` with its character references replaced: once, as HTML reads them.

    Two references that are the halves of a surrogate pair are the one character they mean; what
    is no character (a single half, a number past the last one, zero) is U+FFFD.
    """
    text = _REFERENCE.sub(_character, text)
    if _SURROGATE.search(text):
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def one_line(text: str) -> str:
    """`text` without what cannot be shown, all white space as single spaces."""
    return _SPACES.sub(" ", _UNSHOWABLE.sub("", text)).strip()


def require_one_line(text: str) -> str:
    """`text` itself. Raises ValueError where it holds what cannot be shown on one line."""
    if _NOT_ONE_LINE.search(text):
        raise ValueError("characters that cannot be shown")
    return text


def _character(reference: re.Match[str]) -> str:
    decimal, hexadecimal, name = reference.groups()
    if name:
        return html5.get(f"{name};", reference[0])
    code = int(decimal) if decimal else int(hexadecimal, 16)
    # HTML says which character stands for a number of none: U+FFFD, one of windows-1252, nothing.
    return chr(code) if 0xA0 <= code <= 0xDFFF else unescape(reference[0])
