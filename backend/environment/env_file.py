"""The file `.env` itself: which variables it sets, and which lines set none."""

from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from backend.environment.errors import SettingsError

#: Wrong lines that are told one by one.
MOST_TOLD = 20


def read_env_file(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """The variables, and a warning for each line that is none. Raises SettingsError."""
    name = path.name
    if not path.exists():
        return {}, []
    if not path.is_file():  # a pipe would be waited for
        raise SettingsError(f"{name}: is no regular file")
    try:
        bindings = [*parse_stream(StringIO(path.read_text("utf-8-sig")))]
    except UnicodeDecodeError:
        raise SettingsError(f"{name}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read: {error.strerror}") from None
    wrong = [one.original.line for one in bindings if one.error]
    warnings = [f"{name}: line {line} is not like NAME=value and is ignored" for line in wrong]
    return {one.key: one.value for one in bindings if one.key}, warnings[:MOST_TOLD]
