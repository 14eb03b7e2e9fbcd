"""The `.env` file: its variables, and which of its lines are none."""

from io import StringIO
from pathlib import Path

from dotenv.parser import Original, parse_stream

from backend.environment import SettingsError

ENV_FILE = ".env"
#: Largest number of warnings of one kind that are logged one by one.
MAX_WARNINGS = 20


def read_env_file() -> tuple[dict[str, str | None], list[str]]:
    """The variables of `.env`, and a warning for each invalid line. Raises SettingsError."""
    path = Path(ENV_FILE)
    if not path.exists():
        return {}, []
    if not path.is_file():  # reading a pipe would wait for its writer
        raise SettingsError(f"{ENV_FILE}: is not a regular file")
    try:
        bindings = [*parse_stream(StringIO(path.read_text("utf-8-sig")))]
    except UnicodeDecodeError:
        raise SettingsError(f"{ENV_FILE}: is not UTF-8 text") from None
    except OSError as error:
        raise SettingsError(f"{ENV_FILE}: cannot be read: {error.strerror}") from None
    # A name alone, without =, is no error of the parser's.
    broken = [one for one in bindings if one.error or (one.key and one.value is None)]
    invalid = [_line_of(one.original) for one in broken][:MAX_WARNINGS]
    problem = "is not like NAME=value and is ignored"
    warnings = [f"{ENV_FILE}: line {line} {problem}" for line in invalid]
    return {one.key: one.value for one in bindings if one.key and one not in broken}, warnings


def _line_of(original: Original) -> int:
    """The number of its first line that is not empty."""
    text = original.string
    return original.line + text[: len(text) - len(text.lstrip())].count("\n")
