"""Faults of the shared store, of processes and of connections, on real gateways."""
