"""Parsers of what settings.py reads: proxies, certificates, values, misspelt names."""


class SettingsError(Exception):
    """A setting is invalid. The text is one line that names the variable."""
