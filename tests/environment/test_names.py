"""Misspelt settings are found, and what containers, CI and shells set is left in peace."""

from collections.abc import Collection

import pytest

from backend.environment.names import are_near, misspelt
from backend.environment.network import NETWORK_VARIABLES
from backend.providers.registry import REGISTRY
from backend.settings import setting_names

PROVIDERS = [spec.name for spec in REGISTRY]
KNOWN = setting_names(PROVIDERS)


def meant(name: str, value: str = "x", **options: Collection[str]) -> tuple[str, ...] | None:
    providers = [one.upper() for one in PROVIDERS]
    found = misspelt({name: value}, KNOWN, providers, foreign=NETWORK_VARIABLES, **options)
    return found.get(name)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("CACHE_TTL_MARKTE", "CACHE_TTL_MARKET"),
        ("cache_ttl_markte", "CACHE_TTL_MARKET"),
        ("MAX_STALE_NEW", "MAX_STALE_NEWS"),
        ("GATEWAY_API_KEY", "GATEWAY_API_KEYS"),
        ("GATEWAY_KEYS", "GATEWAY_API_KEYS"),
        ("GATEWAY_PORT", "PORT"),
        ("COINGECKO_API_KEY", "COINGECKO_PRO_API_KEY"),
        ("COINGECKO_API_KEY", "COINGECKO_FREE_API_KEY"),
        ("BINANCE_URL", "BINANCE_BASE_URL"),
        ("BINANCE_SECRET", "BINANCE_API_KEY"),
        ("ETHERSCAN_APIKEY", "ETHERSCAN_API_KEY"),
        ("RSS_COINDESK_URL", "RSS_COINDESK_BASE_URL"),
        ("CLIENT_RATELIMIT", "CLIENT_RATE_LIMIT"),
        ("CLIENT_RATE", "CLIENT_RATE_LIMIT"),
        ("WS_MAX_CONNECTIONS", "WS_MAX_CLIENTS"),
        ("CORS_ALLOWED_ORIGINS", "CORS_ORIGINS"),
        ("TRUST_PROXIES", "TRUST_PROXY"),
        ("COOLDWON", "COOLDOWN"),
        ("LOGDIR", "LOG_DIR"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("REDIS_URI", "REDIS_URL"),
        ("STATEPATH", "STATE_PATH"),
        ("REQUEST_DEADLIEN", "REQUEST_DEADLINE"),
        ("PROT", "PORT"),
        ("HSOT", "HOST"),
        ("HTTPS_PROXI", "HTTPS_PROXY"),
        ("HTTPSPROXY", "HTTPS_PROXY"),
        ("SSL_CERTFILE", "SSL_CERT_FILE"),
        ("BINANCE_BASEURL", "BINANCE_BASE_URL"),
        ("ACCESSLOG", "ACCESS_LOG"),
    ],
)
def test_a_misspelt_setting_is_found_with_a_suggestion(name: str, setting: str) -> None:
    assert setting in (meant(name) or ())


@pytest.mark.parametrize("name", KNOWN)
def test_no_setting_is_taken_for_another_one(name: str) -> None:
    assert meant(name) is None


SURROUNDINGS = """
PATH HOME HOSTNAME HOSTTYPE PORTS HOSTS PWD OLDPWD SHLVL LANG LC_ALL TERM USER LOGNAME SHELL MAIL
TZ PYTHONPATH VIRTUAL_ENV SPACE_ID SPACE_HOST CI GITHUB_ACTIONS GITHUB_REF RUNNER_TEMP
KUBERNETES_SERVICE_HOST KUBERNETES_PORT_443_TCP_ADDR BINANCE_SERVICE_HOST BINANCE_SERVICE_PORT
BINANCE_SERVICE_PORT_HTTP BINANCE_PORT_443_TCP BINANCE_PORT_443_TCP_PROTO GATEWAY_SERVICE_HOST
GATEWAY_INTERFACE LOG_FORMAT LOG_FILE LS_COLORS HTTP_PROXY http_proxy HTTPS_PROXY NO_PROXY
FTP_PROXY GOPROXY NO_COLOR SSL_CERT ACCESS_TOKEN ACCESS_KEY_ID ALL_PROXY SSL_CERT_FILE HTTP_HOST
REDIS_HOST REDIS_PASSWORD CACHE_DIR MAX_MEMORY
CLIENT_ID POST SORT CLIENT_SECRET TMPDIR WORKSPACE DISPLAY XDG_RUNTIME_DIR SSH_CLIENT EDITOR
MANPATH GPG_KEY BASE_DIR PYTHONUNBUFFERED PIP_NO_CACHE_DIR DATABASE_URL SECRET_KEY DEBUG ENV
WEB_CONCURRENCY UVICORN_PORT WS BINANCE REQUESTS_CA_BUNDLE STATE PROVIDER CLUSTER_DOMAIN
PROVIDER_ID REQUEST_METHOD MAX_WORKERS _
""".split()


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_variables_of_other_software_are_not_reported(name: str) -> None:
    assert meant(name) is None


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("REQUEST_TIMEOUT", "REQUEST_DEADLINE"),
        ("STATE_FILE", "STATE_PATH"),
        ("LOG_FOLDER", "LOG_DIR"),
        ("CACHE_SECONDS", "CACHE_TTL_MARKET"),
    ],
)
def test_a_common_first_word_is_a_sign_in_our_own_file(name: str, setting: str) -> None:
    assert setting in (meant(name, common=()) or ())
    assert meant(name) is None


@pytest.mark.parametrize("name", ["BINANCE_PORT", "GATEWAY_PORT"])
def test_a_service_port_of_kubernetes_is_not_reported(name: str) -> None:
    assert meant(name, "tcp://10.0.0.1:80") is None
    assert meant(name, "8000") is not None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("COOLDOWN", "COLDOWN", True),
        ("COOLDOWN", "COOLLDOWN", True),
        ("COOLDOWN", "KOOLDOWM", True),
        ("COOLDOWN", "OCOLDONW", True),
        ("COOLDOWN", "COOLDOWNXY", True),
        ("COOLDOWN", "COOLDOWNXYZ", False),
        ("COOLDOWN", "XYZLDOWN", False),
        ("COOLDOWN", "DOWNCOOL", False),
        ("PORT", "PROT", True),
        ("PORT", "PORTS", False),
        ("PORT", "POST", False),
        ("HOST", "HSTO", False),
    ],
)
def test_near_is_two_edits_or_a_swap(one: str, other: str, expected: bool) -> None:
    assert are_near(one, other) is expected
    assert are_near(other, one) is expected
