"""Reads the file `.env`: its variables, and its invalid lines."""

from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from backend.environment.errors import SettingsError

#: Largest number of warnings about invalid lines.
MAX_WARNINGS = 20


def read_env_file(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """The variables, and a warning for each invalid line. Raises SettingsError."""
    name = path.name
    if not path.exists():
        return {}, []
    if not path.is_file():  # reading a pipe would wait for its writer
        raise SettingsError(f"{name}: is not a regular file")
    try:
        bindings = [*parse_stream(StringIO(path.read_text("utf-8-sig")))]
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read: {error.strerror}") from None
    invalid = [one.original.line for one in bindings if one.error]
    warnings = [f"{name}: line {line} is not like NAME=value and is ignored" for line in invalid]
    return {one.key: one.value for one in bindings if one.key}, warnings[:MAX_WARNINGS]
