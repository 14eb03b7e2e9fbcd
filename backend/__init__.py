"""The gateway without its HTTP face: choosing, guarding and caching upstream data."""

__version__ = "0.1.0"
