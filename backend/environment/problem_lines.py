"""Lines about invalid settings: the variable, what it must be, and its value unless secret."""

import re

from pydantic import BaseModel
from pydantic_core import ErrorDetails

#: Longest value that is shown as a whole, in characters.
MOST_CHARACTERS = 64
#: Longest file name that is shown, in characters.
MOST_PATH_CHARACTERS = 1_000
#: What may be a key that was put into the wrong variable.
_KEY_LIKE = re.compile(r"(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}")
#: Pydantic's types of an error, in plain words.
_PLAIN = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def shown(value: str) -> str:
    """`value` in quotes; of a URL scheme and host only, as its path may be a key; empty if any
    part of what is left may be a secret."""
    if "@" in value:
        return ""
    if _URL.match(value):
        value = _without_path(value)
    if _KEY_LIKE.search(value):
        return ""
    return repr(value if len(value) <= MOST_CHARACTERS else f"{value[:MOST_CHARACTERS]}…")


def shown_path(value: str) -> str:
    """As `shown`, for file names, in which words and figures are no keys."""
    is_name = value.isprintable() and len(value) <= MOST_PATH_CHARACTERS
    return repr(value) if is_name else shown(value)


def but_not(value: str) -> str:
    """The end of a sentence that says what a value must be: `, not 'many'`, or empty."""
    text = shown(value)
    return f", not {text}" if text else ""


def problem_line(kind: type[BaseModel], prefix: str, error: ErrorDetails) -> str:
    """The variable, what it must be, and its value unless that is a secret."""
    field = str(error["loc"][0])
    message = error["msg"].removeprefix("Value error, ").replace("Input should ", "must ", 1)
    message = _PLAIN.get(error["type"], " ".join(message.split()))
    is_secret = "SecretStr" in repr(kind.model_fields[field].annotation)
    value = error["input"]
    value_shown = but_not(value) if isinstance(value, str) and not is_secret else ""
    return f"{(prefix + field).upper()}: {message}{value_shown}"


def _without_path(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return f"{scheme}://{host}" + ("/…" if len(rest) > len(host) else "")
