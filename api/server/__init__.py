"""What the gateway changes in uvicorn: limits, checks and ways around ASGI."""
