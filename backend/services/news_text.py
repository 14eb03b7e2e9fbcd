"""Cleaning what publishers send: one URL for one article, plain text without markup."""

import re
from hashlib import blake2b
from html import unescape
from urllib.parse import urlsplit, urlunsplit

LONGEST_SUMMARY = 300
LONGEST_TITLE = 300
#: Of what a publisher sends as a summary, more than enough for one.
LONGEST_MARKUP = 5_000
_TRACKING = re.compile(
    r"(?i)(utm_.*|mtm_.*|pk_.*|mc_[ce]id|fbclid|gclid|dclid|yclid|msclkid|gad_source|igshid|_ga"
    r"|_hs.*|mkt_tok|cmpid|ref|ref_src|ref_url|auth_token)(=.*)?"
)
_SPACES = re.compile(r"\s+")
#: What parts words; a sign before a digit does not, as +5 is another story than -5.
_NO_WORD = re.compile(r"(?:(?![+-]\d)[\W_])+")
#: Elements whose content no reader sees, and comments; unclosed ones reach to the end.
_UNSHOWN = re.compile(
    r"<(script|style|template|noscript|iframe)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|code|em|font|i|mark|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE
)
_TAG = re.compile(
    r"<[a-zA-Z/!?][^<>]*>|<(?:a|b|br|div|em|i|img|p|span|strong)\b[^<>]*\Z", re.IGNORECASE
)
#: Characters that show nothing, or turn the direction of what follows.
_INVISIBLE = re.compile(r"[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
#: Some feeds escape what was escaped before.
MOST_ESCAPES = 4


def clean_url(url: str) -> str:
    """The same address without tracking parameters; what is kept is kept to the letter."""
    parts = urlsplit(url.strip())
    query = "&".join(pair for pair in parts.query.split("&") if not _TRACKING.fullmatch(pair))
    # A fragment that is a route names another page; any other, a place on the same one.
    fragment = parts.fragment if parts.fragment.startswith(("/", "!")) else ""
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, fragment))


def article_key(clean: str) -> str:
    """What two spellings of one article's address have in common."""
    parts = urlsplit(clean)
    host = parts.netloc.lower().removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}?{parts.query}#{parts.fragment}"


#: What begins like a tag with attributes and never ends.
_OPENED = re.compile(r"<[A-Za-z/!?][^<>]*=[^<>]*(?=<|\Z)")


def article_id(key: str) -> str:
    """Stable over restarts and processes."""
    return blake2b(key.encode(), digest_size=8).hexdigest()


def title_key(title: str) -> str:
    """Titles that differ in case, spaces and punctuation only are the same story."""
    return _NO_WORD.sub(" ", title.casefold()).strip()


def plain_text(html: str) -> str:
    """The words that a reader would see, on one line; no tag and no entity is left.

    By expressions that take linear time: html.parser needs minutes for some 100 kB of `<a `.
    """
    text, before = html[:LONGEST_MARKUP], ""
    for _ in range(MOST_ESCAPES):
        if text == before:
            break
        before, text = text, unescape(_without_markup(text))
    text = _OPENED.sub(" ", _without_markup(text))
    return _SPACES.sub(" ", _INVISIBLE.sub("", text)).strip()


def _without_markup(html: str) -> str:
    """Inline tags stand inside words and leave nothing, others part them."""
    return _TAG.sub(" ", _INLINE.sub("", _UNSHOWN.sub(" ", html)))


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters, cut between words."""
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    return f"{head.rsplit(' ', 1)[0].rstrip(' ,;:')}…"
