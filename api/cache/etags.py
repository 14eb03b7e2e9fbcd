"""Entity tags: a different one for each coding of a body."""

from api.cache.compression import CODINGS, IDENTITY


def etag_of(digest: str, coding: str) -> str:
    """Representations whose bytes differ have tags that differ (RFC 9110, 8.8.3)."""
    return f'"{digest}-{coding}"' if coding else f'"{digest}"'


def matches(if_none_match: str | None, digest: str) -> bool:
    """Whether one of the tags is of this body, in any coding.

    `*` matches any body (RFC 9110, 13.1.2); `"*"` is only a tag. Tags compare weakly, and quotes
    may be missing.
    """
    if not if_none_match:
        return False
    if if_none_match.strip(" \t") == "*":
        return True
    known = {etag_of(digest, coding) for coding in (IDENTITY, *CODINGS)}
    return any(_opaque(tag) in known for tag in if_none_match.split(","))


def _opaque(tag: str) -> str:
    tag = tag.strip(" \t").removeprefix("W/")
    return tag if tag.startswith('"') else f'"{tag}"'
