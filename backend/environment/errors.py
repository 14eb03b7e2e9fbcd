"""The error of an invalid setting."""


class SettingsError(Exception):
    """A setting is invalid. The text is one line that names the variable."""
