"""The HTTP face of the gateway: routes in, envelopes and problems out."""
