"""Values of request header fields, as RFC 9110 (5.3) reads them."""

from starlette.datastructures import Headers


def field_value(headers: Headers, name: str) -> str:
    """All lines of one list-valued field, joined by commas; empty where there is none."""
    return ", ".join(headers.getlist(name))
