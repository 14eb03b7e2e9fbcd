"""Text from outside: character references, and characters that cannot be displayed."""

import re
from html import unescape
from html.entities import html5

#: Without its semicolon it is no reference: `AT&T`, `?a=1&copy=2`. Longer numbers are junk.
_REFERENCE = re.compile(
    r"&(?:#([0-9]{1,12})|#[xX]([0-9a-fA-F]{1,12})|([A-Za-z][A-Za-z0-9]{1,31}));"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
#: Control characters, characters that are invisible or change the direction of the text (also the
#: tags of plane 14, which hide text from people but not from machines), halves of surrogate pairs.
#: The joiners U+200C and U+200D are allowed: Persian and emoji need them.
_UNSEEN = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f"
)
_UNSHOWABLE = re.compile(f"[{_UNSEEN}]")
_NOT_ONE_LINE = re.compile(f"[{_UNSEEN}\t-\r\x1c-\x1f\x85\u2028\u2029]")
_SPACES = re.compile(r"\s+")


def unescaped(text: str) -> str:
    """`text` with its character references replaced: once, as HTML reads them.

    Two references to the halves of a surrogate pair become their character. A number that is no
    character (a single half, one past the last character, zero) becomes U+FFFD.
    """
    text = _REFERENCE.sub(_character, text)
    if _SURROGATE.search(text):
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def one_line(text: str) -> str:
    """`text` without undisplayable characters, all white space as single spaces."""
    return _SPACES.sub(" ", _UNSHOWABLE.sub("", text)).strip()


def require_one_line(text: str) -> str:
    """Returns `text`. Raises ValueError if it cannot be displayed on one line."""
    if _NOT_ONE_LINE.search(text):
        raise ValueError("characters that cannot be displayed")
    return text


def _character(reference: re.Match[str]) -> str:
    decimal, hexadecimal, name = reference.groups()
    if name:
        return html5.get(f"{name};", reference[0])
    code = int(decimal) if decimal else int(hexadecimal, 16)
    # HTML defines the replacement of invalid numbers: U+FFFD, a windows-1252 character, nothing.
    return chr(code) if 0xA0 <= code <= 0xDFFF else unescape(reference[0])
