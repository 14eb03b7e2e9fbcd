"""Health of one provider: circuit breaker, back-off, statistics."""
