"""Binance's public market data at `/binance/api/v3`."""
