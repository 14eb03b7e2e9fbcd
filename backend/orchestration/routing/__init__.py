"""Which provider is asked next."""
