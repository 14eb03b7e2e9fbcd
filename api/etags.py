"""Entity tags: one name for a body, another for each coding that it comes in."""


def etag_of(digest: str, coding: str) -> str:
    """Representations whose bytes differ have tags that differ (RFC 9110, 8.8.3)."""
    return f'"{digest}-{coding}"' if coding else f'"{digest}"'


def matches(if_none_match: str | None, digest: str) -> bool:
    """True when one of the tags is of this body, in whatever coding the client has it."""
    if not if_none_match:
        return False
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")}
    return "*" in tags or any(tag.partition("-")[0] == digest for tag in tags)
