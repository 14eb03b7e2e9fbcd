"""Parsers of what settings.py reads: proxies, certificates, values, misspelt names."""
