"""Binance's market-data streams by WebSocket, passed on over one connection to Binance."""
