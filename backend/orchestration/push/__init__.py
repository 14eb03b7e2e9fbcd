"""WebSocket connections that push ticks."""
