"""Header fields of a request, as RFC 9110 reads them, and which requests the cache may answer."""

from starlette.datastructures import Headers
from starlette.types import Scope

RawHeaders = list[tuple[bytes, bytes]]
Fields = dict[bytes, bytes]

#: Fields that announce a body.
_BODY = frozenset((b"content-length", b"transfer-encoding"))
#: Largest size in bytes of all fields of a request that the cache answers.
MAX_CACHED_FIELD_BYTES = 32 * 1024


def field_value(headers: Headers, name: str) -> str:
    """All lines of a list-valued field joined by commas (RFC 9110, 5.3); empty without any."""
    return ", ".join(headers.getlist(name))


def plain_fields(headers: RawHeaders) -> Fields | None:
    """Fields by name; None for a request that the cache leaves to the application, because it has
    a repeated field, a body, or very long headers.

    Runs for every request, so all loops are in built-in functions.
    """
    fields = dict(headers)
    if len(fields) != len(headers) or not _BODY.isdisjoint(fields):
        return None
    size = sum(map(len, fields)) + sum(map(len, fields.values()))
    return fields if size <= MAX_CACHED_FIELD_BYTES else None


def target_of(scope: Scope) -> bytes:
    """Path and query as the request's first line has them. Some test servers give no raw path."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return b"%b?%b" % (path, query) if query else path
