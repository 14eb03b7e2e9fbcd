"""Word lists, one entry a line; lines that begin with # are comments."""

from importlib.resources import files


def data_lines(name: str) -> list[str]:
    text = files(__name__).joinpath(name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
