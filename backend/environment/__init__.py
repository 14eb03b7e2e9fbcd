"""Parsers of what settings.py reads: proxies, certificates, values, misspelt names."""


class SettingsError(Exception):
    """Settings are invalid. Each problem is one line that begins with the variable's name.

    `warnings` are lines about variables that are ignored.
    """

    def __init__(self, *problems: str, warnings: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.warnings = warnings


def invalid_settings(error: SettingsError) -> str:
    """The lines that a process prints before it ends with exit code 2."""
    lines = [f"invalid setting  {problem}" for problem in error.problems]
    return "\n".join([*lines, *(f"warning  {warning}" for warning in error.warnings)])
