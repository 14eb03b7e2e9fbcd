"""Cleans publishers' data: one URL for each article, plain text without markup."""

import re
from hashlib import blake2b
from urllib.parse import urlsplit, urlunsplit

from backend.models.text import one_line, unescaped

#: Characters of an article's title, and of its summary.
LONGEST_TEXT = 300
#: Characters of a publisher's summary that are read.
LONGEST_MARKUP = 5_000
_TRACKING = re.compile(
    r"(?i)(utm_.*|mtm_.*|pk_.*|mc_[ce]id|fbclid|gclid|dclid|yclid|msclkid|gad_source|igshid|_ga"
    r"|_hs.*|mkt_tok|cmpid|ref|ref_src|ref_url|auth_token)(=.*)?"
)
#: Characters between words. A sign before a digit is none: +5 and -5 are two stories.
_NO_WORD = re.compile(r"(?:(?![+-]\d)[\W_])+")
#: Tags of elements whose content is not displayed, and both ends of a comment.
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
#: Levels of escaping that are undone: some feeds escape a text several times.
MOST_ESCAPES = 4


def clean_url(url: str) -> str:
    """The same address without tracking parameters, otherwise unchanged."""
    parts = urlsplit(url.strip())
    query = "&".join(pair for pair in parts.query.split("&") if not _TRACKING.fullmatch(pair))
    # A fragment that is a route names another page; any other one a place on the same page.
    fragment = parts.fragment if parts.fragment.startswith(("/", "!")) else ""
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, fragment))


def article_key(clean: str) -> str:
    """Equal for all spellings of one article's address."""
    parts = urlsplit(clean)
    host = parts.netloc.lower().removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}?{parts.query}#{parts.fragment}"


#: The beginning of a tag with attributes that never ends.
_OPENED = re.compile(r"<[A-Za-z/!?][^<>]*=[^<>]*(?=<|\Z)")


def article_id(key: str) -> str:
    """Stable over restarts and processes."""
    return blake2b(key.encode(), digest_size=8).hexdigest()


def title_key(title: str) -> str:
    """Equal for titles that differ only in case, spaces and punctuation."""
    return _NO_WORD.sub(" ", title.casefold()).strip()


def plain_text(html: str) -> str:
    """The displayed words on one line, without tags and entities.

    The expressions take linear time; html.parser needs minutes for 100 kB of `<a `.
    """
    text = _without_markup(one_line(html[:LONGEST_MARKUP]), is_cut=len(html) > LONGEST_MARKUP)
    before = ""
    for _ in range(MOST_ESCAPES):
        if text == before:
            break
        before, text = text, _without_markup(one_line(unescaped(text)))
    text = _OPENED.sub(" ", text)
    # The outer ones of nested tags are still there.
    return one_line(text.replace("<", " ") if _TAG.search(text) else text)


def _without_markup(html: str, *, is_cut: bool = False) -> str:
    """Inline tags may be inside a word and leave nothing; other tags separate words."""
    return _TAG.sub(" ", _INLINE.sub("", _without_hidden(html, is_cut=is_cut)))


def _without_hidden(html: str, *, is_cut: bool) -> str:
    """`html` without comments and elements that are not displayed.

    A tag whose element never ends is not markup but part of the text ("Hackers inject <script>
    into a page"): its name stays. If the text was cut, the end may be in the missing part.
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
            is_word = not ends and tag["name"] and not tag["rest"].strip(" /")  # no attributes
            shown += [html[at : tag.start()], tag["name"] if is_word else " "]
            at, hidden = tag.end(), name if ends else ""
    return "".join(shown if hidden else [*shown, html[at:]])


def _hidden_name(tag: re.Match[str]) -> str:
    return (tag["name"] or "comment").lower()


def _is_end(tag: re.Match[str]) -> bool:
    return tag["slash"] == "/" or tag[0] == "-->"


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters, cut between words."""
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    return f"{head.rsplit(' ', 1)[0].rstrip(' ,;:')}…"
