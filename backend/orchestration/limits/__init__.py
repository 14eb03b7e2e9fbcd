"""Call limits: short windows, daily and monthly budgets, and their ledger."""
