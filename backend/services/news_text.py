"""Cleaning what publishers send: one URL for one article, plain text without markup."""

import re
from hashlib import blake2b
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

LONGEST_SUMMARY = 300
LONGEST_TITLE = 300
#: Of what a publisher sends as a summary, more than enough for one.
LONGEST_MARKUP = 5_000
_TRACKING = re.compile(
    r"(?i)(utm_.*|mtm_.*|pk_.*|mc_[ce]id|fbclid|gclid|igshid|_hs.*|cmpid|ref_src|ref|auth_token)"
)
_SPACES = re.compile(r"\s+")
_NO_WORD = re.compile(r"[\W_]+")
#: Elements whose content no reader sees, and comments; unclosed ones reach to the end.
_UNSHOWN = re.compile(
    r"<(script|style|template|noscript|iframe)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_TAG = re.compile(r"<[a-zA-Z/!?][^<>]*(?:>|\Z)")


def clean_url(url: str) -> str:
    """The same address without tracking parameters and fragment."""
    parts = urlsplit(url.strip())
    query = [pair for pair in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(pair[0])]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))


def article_key(clean: str) -> str:
    """What two spellings of one article's address have in common."""
    parts = urlsplit(clean.lower())
    host = parts.netloc.removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}?{parts.query}"


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
    text = html[:LONGEST_MARKUP]
    for _ in range(2):  # some feeds escape twice, and markup may stand in what was escaped
        text = unescape(_without_markup(text))
    return _SPACES.sub(" ", _without_markup(text)).strip()


def _without_markup(html: str) -> str:
    return _TAG.sub(" ", _UNSHOWN.sub(" ", html))


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters, cut between words."""
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    return f"{head.rsplit(' ', 1)[0].rstrip(' ,;:')}…"
