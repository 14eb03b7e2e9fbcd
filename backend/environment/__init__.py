"""What the process's surroundings mean: proxies, certificates, names. settings.py reads them."""
