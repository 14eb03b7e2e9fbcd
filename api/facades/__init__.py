"""Facades: the protocols of other services, for programs that already speak them."""
