"""Parses feeds (RSS 2.0, RSS 1.0 and Atom) from bytes, item by item.

Many feeds are not well-formed XML. An XML parser stops at the first error, and tolerant parsers
lose characters or the borders of items (docs/decisions/0016). Here the items are split first, so
that an error in one item affects no other. Every step takes linear time. No entity of the feed is
expanded, no file and no address is opened.
"""

import codecs
import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from encodings.aliases import aliases
from functools import cached_property
from urllib.parse import urljoin, urlsplit, urlunsplit

from backend.models.text import unescaped

#: Declared encodings that browsers read as a larger one (encoding.spec.whatwg.org), by Python's
#: names, and names that Python does not know.
READ_AS = (
    {"iso8859_9": "cp1254", "iso8859_11": "cp874", "tis_620": "cp874", "cp874": "cp874"}
    | {"koi8_u": "koi8_u", "big5": "big5hkscs", "euc_kr": "cp949"}
    | dict.fromkeys(("shift_jis", "sjis", "cp31j"), "cp932")
    | dict.fromkeys(("gb2312", "gb_2312", "gb_2312_80", "gbk"), "gb18030")
)
#: Python's names of the accepted encodings, all supersets of ASCII. A feed in any other encoding,
#: and bytes that are invalid in the declared one, are read as windows-1252.
_TEXT_CODEC = re.compile(
    r"cp(?:12|8|9)\d\d?|(?:iso8859|mac|koi8|euc|iso2022)_\w+|gb18030|johab|hz", re.ASCII
)
TEXT_CODECS = frozenset(filter(_TEXT_CODEC.fullmatch, aliases.values()))
#: Encodings whose bytes are all ASCII, and therefore valid UTF-8 too.
SHIFTED = ("iso2022", "hz")
DEFAULT_CODEC = "cp1252"
#: Characters of an element that are read; the longest valid element is a summary.
LONGEST_CONTENT = 20_000
#: Most elements of an item, and most without an end tag; a valid item has about twenty.
MOST_ELEMENTS, MOST_UNCLOSED = 1_000, 32

_DECLARED = re.compile(rb"<\?xml[^<>]*?\sencoding\s*=\s*[\"']([\w.:-]{1,40})[\"']")
_BEFORE_ITEM = re.compile(rb"(?=<(?:[\w.-]{1,32}:)?(?:item|entry)[\s/>])")
ROOTS = ("rss", "feed", "rdf:rdf")
_ROOT = re.compile(r"<(?:([\w.-]{1,32}):)?(rss|RDF|feed)(?=[\s>])")
#: Before the root: a DTD, or a web page. Warnings of the server's program may be there.
_NO_FEED = re.compile(r"<(?:!doctype|html|head|body|script)\b", re.IGNORECASE)
#: An item of RSS 1.0 whose elements have a prefix: <rss:item><rss:title>.
_PREFIXED_ITEM = re.compile(r"<([\w.-]{1,32}):item(?=[\s>])")
_ITEM = {name: re.compile(rf"<{name}(?=[\s/>])") for name in ("item", "entry")}
_END_WITH_SPACE = re.compile(r"(</[\w.:-]++)\s++>")
#: A start tag; with unbalanced quotes it ends at the first bracket.
_START = re.compile(r"""<([A-Za-z_][\w.:-]*+)((?>[^<>"']++|"[^"<]*+"|'[^'<]*+')*+|[^<>]*+)>""")
_ATTRIBUTE = re.compile(
    r"""(?<![\w.:-])([\w.:-]++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))"""
)


@dataclass(frozen=True)
class Element:
    """One element: its name in lower case with its prefix, and its raw markup, CDATA escaped."""

    name: str
    markup: str
    content: str

    @cached_property
    def attributes(self) -> dict[str, str]:
        found = _ATTRIBUTE.findall(self.markup[:LONGEST_CONTENT])
        values = ((name.lower(), "".join(value)) for name, *value in found)
        return {name: unescaped(value).strip() for name, value in values}

    @cached_property
    def text(self) -> str:
        """The text; the markup if the element contains elements."""
        content = self.content.strip()[:LONGEST_CONTENT]
        return content if _START.search(content) else unescaped(content)


@dataclass(frozen=True)
class Item:
    """The elements of one item, and the base URL of its links."""

    elements: tuple[Element, ...]
    base: str

    def named(self, *names: str) -> list[Element]:
        return [element for name in names for element in self.elements if element.name == name]

    def text(self, *names: str) -> str:
        """The text of the first of these elements that has a text, else an empty text."""
        return next(filter(None, (element.text for element in self.named(*names))), "")


@dataclass(frozen=True, slots=True)
class Feed:
    """The markup of the items in their order; empty for an item without an end tag.

    `is_whole`: the feed has its end tag. `base` is the base URL of the links, empty if unknown.
    """

    items: list[str]
    is_whole: bool
    base: str


def read_feed(body: bytes, address: str) -> Feed:
    """Splits a feed from `address` (empty if unknown) into items.

    An incomplete last item is left out. Raises ValueError if the body is not a feed (also a web
    page with a feed in it) or has a DTD, TypeError if it is not bytes.
    """
    text = _END_WITH_SPACE.sub(r"\1>", _without_comments(_without_cdata(_decoded(body))))
    root = _ROOT.search(text)
    if root is None or _NO_FEED.search(text, 0, root.start()):
        raise ValueError("not a feed, or a feed with a DTD")
    prefix, kind = root.groups()
    text = text[root.start() :]
    if kind == "RDF":  # its own prefix is that of the syntax, never of the items
        prefixed = None if _ITEM["item"].search(text) else _PREFIXED_ITEM.search(text)
        prefix = prefixed[1] if prefixed else None
    if prefix:  # on all elements: <atom:feed><atom:entry>
        text = text.replace(f"<{prefix}:", "<").replace(f"</{prefix}:", "</")
    name = "entry" if kind == "feed" else "item"
    head, *rows = _ITEM[name].split(text)
    is_whole = re.search(rf"</(?:[\w.-]+:)?{kind}>", rows[-1] if rows else head) is not None
    parts = [row.partition(f"</{name}>") for row in rows]
    if parts and not is_whole and not parts[-1][1]:
        parts.pop()
    return Feed([row if end else "" for row, end, _ in parts], is_whole, _base(head, address))


def read_item(markup: str, base: str) -> Item:
    """The item of a piece of markup. Raises ValueError if it has too many elements."""
    own = Element("item", markup.partition(">")[0], "").attributes.get("xml:base", "")
    return Item(tuple(elements(markup)), absolute(own, base) if own else base)


def elements(markup: str) -> Iterator[Element]:
    """The top-level elements of `markup`; an element without an end tag has no content.

    Raises ValueError if there are too many elements.
    """
    at = unclosed = 0
    for _ in range(MOST_ELEMENTS):
        start = _START.search(markup, at)
        if start is None:
            return
        name, attributes, at = start[1], start[2], start.end()
        end = -1 if attributes.endswith("/") else markup.find(f"</{name}>", at)
        unclosed += end < 0 and not attributes.endswith("/")
        if unclosed > MOST_UNCLOSED:
            break
        yield Element(name.lower(), attributes, markup[at : max(at, end)])
        at = max(at, end)
    raise ValueError("the item has too many elements")


def absolute(address: str, base: str) -> str:
    """The absolute form of `address`, relative to `base`. Raises ValueError."""
    return address if re.match(r"[A-Za-z][\w+.-]*:", address) else urljoin(base, address)


def _base(head: str, address: str) -> str:
    """The declared base URL, else the site's, else the feed's own link, else `address`."""
    for declared in filter(None, _bases(head)):
        try:
            base = absolute(declared, address)
            parts = urlsplit(base)
        except ValueError:
            continue
        if parts.scheme in ("http", "https") and parts.hostname:
            return base
    parts = urlsplit(address)  # without credentials and query, as links are public
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _bases(head: str) -> list[str]:
    """The addresses in the feed's head, the most specific first."""
    try:
        found = list(elements(head))
        found += [
            child for one in found if one.name == "channel" for child in elements(one.content)
        ]
    except ValueError:
        return []
    top = Item(tuple(found), "")
    links = [one.attributes for one in top.named("link", "atom:link")]
    return [
        *(one.attributes.get("xml:base", "") for one in top.named("channel", *ROOTS)),
        top.text("link"),
        *(link.get("href", "") for link in links if link.get("rel", "alternate") == "alternate"),
        *(link.get("href", "") for link in links if link.get("rel") == "self"),
    ]


def _decoded(body: bytes) -> str:
    """The text, each item as UTF-8 if that is valid, else in the declared encoding: a wrong byte
    affects only its item."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace")
    declared = _DECLARED.search(body, 0, 1_024)
    codec = _codec(declared[1].decode().lower()) if declared else None
    return "".join(_piece(piece, codec) for piece in _BEFORE_ITEM.split(body))


def _codec(label: str) -> str | None:
    """Python's name of a declared encoding, None if it is unknown."""
    name = label.replace("-", "_").removeprefix("x_")
    for prefix in ("windows_", "win_", "cp_", "ms_"):
        if name.startswith(prefix):
            name = f"cp{name.removeprefix(prefix)}"
    name = aliases.get(name, name)
    return READ_AS.get(name, name if name in TEXT_CODECS else None)


def _piece(piece: bytes, declared: str | None) -> str:
    first = declared if declared and declared.startswith(SHIFTED) else "utf-8"
    for codec in (first, declared or DEFAULT_CODEC):
        try:
            return piece.decode(codec)
        except UnicodeDecodeError:
            continue
    return piece.decode(DEFAULT_CODEC, "replace")


def _without_cdata(text: str) -> str:
    """CDATA sections become escaped text; a section without an end is kept as it is."""
    first, *rest = text.split("<![CDATA[")
    parts = (piece.partition("]]>") for piece in rest)
    return first + "".join(
        html.escape(inner, quote=False) + after if end else inner for inner, end, after in parts
    )


def _without_comments(text: str) -> str:
    """Comments are removed; only the opening of a comment without an end is removed."""
    first, *rest = text.split("<!--")
    parts = (piece.partition("-->") for piece in rest)
    return first + "".join(after if end else inner for inner, end, after in parts)
