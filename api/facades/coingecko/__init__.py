"""CoinGecko's public API, version 3, at `/coingecko/api/v3`."""
