"""A look at the shared store before the start, outside the event loop."""

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from backend.cluster.keys import Keys, redis_scheme
from backend.environment import SettingsError
from backend.settings import Settings

#: Time limit of connecting, and of a command, in seconds.
TIMEOUT_S = 1.0


def check_login(settings: Settings) -> None:
    """Raises SettingsError if the store refuses the user or the password. A store that is away is
    no wrong setting."""
    try:
        with _client(settings) as client:
            client.get(Keys(settings.cluster_name).settings)
    except (AuthenticationError, NoPermissionError):
        problem = "the store refuses the user, the password, or the keys of this CLUSTER_NAME"
        raise SettingsError(f"REDIS_URL: {problem}") from None
    except (RedisError, OSError):
        return


def _client(settings: Settings) -> Redis:
    assert settings.redis_url
    return Redis.from_url(
        redis_scheme(settings.redis_url.get_secret_value()),
        protocol=2,
        socket_connect_timeout=TIMEOUT_S,
        socket_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,
    )
