"""The environments of the client scripts, read from their requirements.txt.

`# Environment N…: SCRIPT, SCRIPT` begins one; the pins below are its packages, in comments too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_BEGIN = re.compile(r"# Environment (\d+)[^:]*: (.+)")
_PIN = re.compile(r"[\w.\[\],-]+==[\w.]+")


@dataclass(frozen=True, slots=True)
class Environment:
    """Packages that are installed together, and the scripts (without `.py`) that run in it."""

    number: str
    scripts: tuple[str, ...]
    packages: tuple[str, ...]


def parse_environments(text: str) -> list[Environment]:
    """Raises ValueError if an environment has no package, or the text no environment."""
    found: list[tuple[str, tuple[str, ...], list[str]]] = []
    for line in text.splitlines():
        if begin := _BEGIN.fullmatch(line.strip()):
            scripts = tuple(name.strip() for name in begin[2].split(","))
            found.append((begin[1], scripts, []))
        elif found:
            found[-1][2].extend(_PIN.findall(line))
    if not found:
        raise ValueError("requirements.txt has no line '# Environment N: SCRIPT, SCRIPT'")
    return [_environment(*one) for one in found]


def _environment(number: str, scripts: tuple[str, ...], packages: Iterable[str]) -> Environment:
    pins = tuple(packages)
    if not pins:
        raise ValueError(f"environment {number} has no package of the form NAME==VERSION")
    return Environment(number, scripts, pins)
