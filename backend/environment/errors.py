"""What a wrong setting raises."""


class SettingsError(Exception):
    """A setting is wrong. The text is one line and names the variable."""
