"""The variables that point the live check to loopback addresses, whatever the registry has."""

from backend.providers.registry import REGISTRY
from tests.world.push import PushWorld
from tests.world.server import World

#: Nothing listens there: connections are refused.
DEAD = "127.0.0.1:9"
NAMES = [spec.name for spec in REGISTRY]
KEY_VARIABLES = {
    spec.name: spec.key_variable for spec in REGISTRY if spec.keyed or spec.other_plans
}


def nowhere() -> dict[str, str]:
    """No provider can be reached."""
    return {f"{name.upper()}_BASE_URL": f"http://{DEAD}" for name in NAMES} | no_streams()


def no_streams() -> dict[str, str]:
    return {f"{name.upper()}_STREAM_URL": f"ws://{DEAD}" for name in NAMES}


def environment(world: World, push: PushWorld | None = None) -> dict[str, str]:
    """The world's providers, with keys, and with limits that cost no waiting. A provider that the
    world does not have refuses connections."""
    keys = {name: f"key-of-{name}-0001" for name in KEY_VARIABLES}
    world.good_keys = keys | world.good_keys
    world.limits = dict.fromkeys(world.limits, (1_000, 1.0))
    found = nowhere() | world.environment() | no_streams()
    found |= {f"{name.upper()}_ENABLED": "true" for name in NAMES}
    found |= {f"{name.upper()}_LIMITS": "1000/second" for name in NAMES}
    found |= {variable: world.good_keys[name] for name, variable in KEY_VARIABLES.items()}
    return found | ({"BINANCE_STREAM_URL": push.url} if push else {})
