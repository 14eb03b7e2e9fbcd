"""Several processes as one gateway, over a Valkey or Redis.

One process leads: it holds a lease and calls the providers for all. The others follow: they ask it,
and adopt its answers. Without the store each process is an island with a small share of the limits.
"""
