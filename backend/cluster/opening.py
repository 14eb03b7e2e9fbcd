"""Builds this process's part in the cluster from the settings. Imports redis-py."""

import json
import os
import secrets
import socket
from hashlib import blake2b

from backend import __version__
from backend.clock import Clock
from backend.cluster.identity import Identity
from backend.cluster.keys import FORMAT, process_prefix
from backend.cluster.membership import Membership
from backend.cluster.redis_store import RedisStore
from backend.settings import Configuration


def open_membership(configuration: Configuration, clock: Clock) -> Membership:
    """Not connected yet. `configuration` has a REDIS_URL."""
    settings = configuration.gateway
    assert settings.redis_url, "a single process is no member of a cluster"
    store = RedisStore(settings.redis_url.get_secret_value(), settings.cluster_name)
    host = socket.gethostname()
    identity = Identity(
        process=process_prefix(os.getpid()) + secrets.token_hex(4),
        name=f"{host}/{configuration.worker}",
        cluster=settings.cluster_name,
        version=__version__,
        size=cluster_size(configuration),
        may_lead=settings.cluster_lead,
        settings=shared_settings(configuration),
    )
    return Membership(store, identity, clock)


def cluster_size(configuration: Configuration) -> int:
    return configuration.gateway.cluster_size or configuration.gateway.workers


def shared_settings(configuration: Configuration) -> str:
    """What must be equal in all processes, as JSON by variable: the number of processes, and the
    limits, plans and keys that the user has set. Keys as digests."""
    shared: dict[str, int | str] = {
        "the version": FORMAT,
        "CLUSTER_SIZE": cluster_size(configuration),
    }
    for name, provider in sorted(configuration.providers.items()):
        prefix = name.upper()
        if provider.limits:
            limits = (f"{one.limit}/{one.period_s:g}" for one in provider.limits)
            shared[f"{prefix}_LIMITS"] = ",".join(limits)
        if provider.key_is_new:
            shared[f"{prefix}_KEY_IS_NEW"] = "true"
        if provider.plan:
            shared[f"{prefix}_PLAN"] = provider.plan
        if provider.api_key:
            key = provider.api_key.get_secret_value().encode()
            shared[f"{prefix}_API_KEY"] = blake2b(key, digest_size=8).hexdigest()
    return json.dumps(shared, sort_keys=True)
