"""Cleaning what publishers send: one URL for one article, plain text without markup."""

import re
from hashlib import blake2b
from urllib.parse import urlsplit, urlunsplit

from backend.models.text import one_line, unescaped

LONGEST_SUMMARY = 300
LONGEST_TITLE = 300
#: Of what a publisher sends as a summary, more than enough for one.
LONGEST_MARKUP = 5_000
_TRACKING = re.compile(
    r"(?i)(utm_.*|mtm_.*|pk_.*|mc_[ce]id|fbclid|gclid|dclid|yclid|msclkid|gad_source|igshid|_ga"
    r"|_hs.*|mkt_tok|cmpid|ref|ref_src|ref_url|auth_token)(=.*)?"
)
#: What parts words; a sign before a digit does not, as +5 is another story than -5.
_NO_WORD = re.compile(r"(?:(?![+-]\d)[\W_])+")
#: Tags of elements whose content no reader sees, and the two ends of a comment.
_HIDING = re.compile(
    r"<(?P<slash>/?)(?P<name>script|style|template|noscript|iframe)\b(?P<rest>[^<>]*)>|<!--|-->",
    re.IGNORECASE,
)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|code|em|font|i|mark|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE
)
_TAG = re.compile(
    r"<[a-zA-Z/!?][^<>]*>|<(?:a|b|br|div|em|i|img|p|span|strong)\b[^<>]*\Z", re.IGNORECASE
)
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
    text = _without_markup(one_line(html[:LONGEST_MARKUP]), is_cut=len(html) > LONGEST_MARKUP)
    before = ""
    for _ in range(MOST_ESCAPES):
        if text == before:
            break
        before, text = text, _without_markup(one_line(unescaped(text)))
    text = _OPENED.sub(" ", text)
    # Of tags within tags the outer ones are still there.
    return one_line(text.replace("<", " ") if _TAG.search(text) else text)


def _without_markup(html: str, *, is_cut: bool = False) -> str:
    """Inline tags stand inside words and leave nothing, others part them."""
    return _TAG.sub(" ", _INLINE.sub("", _without_hidden(html, is_cut=is_cut)))


def _without_hidden(html: str, *, is_cut: bool) -> str:
    """`html` without comments and elements that no reader sees.

    A tag whose element never ends is no markup but named by the text ("Hackers inject <script>
    into a page"): its name stays. Where the text was cut, the end may be in the part cut off.
    """
    tags = list(_HIDING.finditer(html))
    last_ends = {_hidden_name(tag): tag.start() for tag in tags if _is_end(tag)}
    shown, at, hidden = list[str](), 0, ""
    for tag in tags:
        name = _hidden_name(tag)
        if hidden:
            at, hidden = (tag.end(), "") if name == hidden and _is_end(tag) else (at, hidden)
        elif not _is_end(tag):
            ends = is_cut or last_ends.get(name, 0) > tag.start()
            shown += [html[at : tag.start()], " " if ends else _named(tag)]
            at, hidden = tag.end(), name if ends else ""
    return "".join(shown if hidden else [*shown, html[at:]])


def _hidden_name(tag: re.Match[str]) -> str:
    return (tag["name"] or "comment").lower()


def _is_end(tag: re.Match[str]) -> bool:
    return tag["slash"] == "/" or tag[0] == "-->"


def _named(tag: re.Match[str]) -> str:
    """A tag with attributes is not a name."""
    return tag["name"] if tag["name"] and not tag["rest"].strip(" /") else " "


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters, cut between words."""
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    return f"{head.rsplit(' ', 1)[0].rstrip(' ,;:')}…"
