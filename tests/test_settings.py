"""Settings: defaults, environment and `.env`, and one line about each wrong value."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydantic import SecretStr

from backend.environment import SettingsError
from backend.environment.forms import FACADES, CallLimit, parse_limits
from backend.environment.network import NETWORK_VARIABLES
from backend.settings import Configuration, ProviderSettings, load_configuration

PROVIDERS = ("coingecko_pro", "coingecko_free", "binance")
OWN_VARIABLES = """HOST PORT LOG_DIR LOG_LEVEL CACHE_TTL_MARKET CACHE_TTL_OHLC MAX_STALE_MARKET
MAX_STALE_OHLC REQUEST_DEADLINE PROVIDER_TIMEOUT COOLDOWN COOLDOWN_MAX CORS_ORIGINS
GATEWAY_API_KEYS CLIENT_RATE_LIMIT TRUST_PROXY FACADES REDIS_URL WORKERS CLUSTER_NAME
CLUSTER_SIZE CLUSTER_LEAD STATE_PATH""".split()
PROVIDER_VARIABLES = [
    f"{name.upper()}_{field}"
    for name in PROVIDERS
    for field in ("API_KEY", "BASE_URL", "LIMITS", "ENABLED")
]
KEY = "CG-AbCdEfGhIjKlMnOpQrStUvWx"


@pytest.fixture(autouse=True)
def _empty_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*OWN_VARIABLES, *PROVIDER_VARIABLES, *NETWORK_VARIABLES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.chdir(tmp_path)


def load(providers: Iterable[str] = PROVIDERS) -> Configuration:
    return load_configuration(providers)


def refusal() -> str:
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("host", "0.0.0.0"),  # noqa: S104 - the contract's default
        ("port", 7860),
        ("log_dir", Path("logs")),
        ("log_level", "INFO"),
        ("state_path", Path("state/gateway.sqlite")),
        ("cache_ttl_market", 60),
        ("cache_ttl_ohlc", 15),
        ("request_deadline", 4),
        ("provider_timeout", 3),
        ("cooldown", 30),
        ("cooldown_max", 300),
        ("cors_origins", ("*",)),
        ("facades", FACADES),
    ],
)
def test_the_defaults_are_the_contracts(field: str, expected: object) -> None:
    assert getattr(load().gateway, field) == expected


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_is_enabled_and_has_no_key_by_default(name: str) -> None:
    provider = load().providers[name]
    assert provider.api_key is None
    assert provider.base_url == ()
    assert provider.limits == ()
    assert provider.enabled is True


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("HOST", "127.0.0.1", "127.0.0.1"),
        ("PORT", "8080", 8080),
        ("LOG_DIR", "/var/log/gateway", Path("/var/log/gateway")),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("CACHE_TTL_MARKET", "0.5", 0.5),
        ("CACHE_TTL_OHLC", "5", 5),
        ("MAX_STALE_MARKET", "120", 120),
        ("MAX_STALE_OHLC", "240", 240),
        ("REQUEST_DEADLINE", "2.5", 2.5),
        ("PROVIDER_TIMEOUT", "1.5", 1.5),
        ("COOLDOWN", "0.2", 0.2),
        ("COOLDOWN_MAX", "600", 600),
        ("CORS_ORIGINS", "https://a.example/, https://b.example", None),
    ],
)
def test_every_own_setting_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, expected: object
) -> None:
    monkeypatch.setenv(variable, text)
    expected = expected or ("https://a.example", "https://b.example")
    assert getattr(load().gateway, variable.lower()) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        (" , ", ()),
        ("mcp", ("mcp",)),
        (" MCP, mcp ", ("mcp",)),
        (",".join(FACADES), FACADES),
    ],
)
def test_facades_are_a_list_of_names(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FACADES", text)
    assert load().gateway.facades == expected


def test_an_unknown_facade_stops_the_start_with_a_line_that_lists_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACADES", "mcp,gopher")
    listed = ", ".join(FACADES)
    told = f"FACADES: must be empty or a comma-separated list of {listed}, not 'mcp,gopher'"
    assert refusal() == told


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_reads_the_same_variables_behind_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"{name.upper()}_API_KEY", KEY)
    monkeypatch.setenv(f"{name.upper()}_BASE_URL", "http://one.example/api/, https://two.example")
    monkeypatch.setenv(f"{name.upper()}_LIMITS", "30/minute,10000/month")
    monkeypatch.setenv(f"{name.upper()}_ENABLED", "false")
    configuration = load()
    provider = configuration.providers[name]
    assert provider.api_key == SecretStr(KEY)
    assert provider.base_url == ("http://one.example/api/", "https://two.example")
    assert provider.limits == (CallLimit(30, 60.0), CallLimit(10_000, 2_592_000.0))
    assert provider.enabled is False
    others = [configuration.providers[other] for other in PROVIDERS if other != name]
    assert all(other.api_key is None and other.enabled for other in others)


def test_the_environment_has_precedence_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text(
        f"# mine\nPORT=9000\nCACHE_TTL_OHLC=7\nCOINGECKO_PRO_API_KEY={KEY}\nOTHER=1\n"
    )
    monkeypatch.setenv("PORT", "9001")
    configuration = load()
    assert configuration.gateway.port == 9001
    assert configuration.gateway.cache_ttl_ohlc == 7
    assert configuration.secrets() == (KEY,)


def test_an_invalid_value_in_the_file_is_named() -> None:
    Path(".env").write_text("PORT=high\n")
    assert refusal().startswith("PORT: ")


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COINGECKO_FREE_API_KEY", text)
    configuration = load()
    assert configuration.providers["coingecko_free"].api_key is None
    assert configuration.secrets() == ()


def test_space_around_a_key_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINGECKO_FREE_API_KEY", f"  {KEY}\n")
    assert load().secrets() == (KEY,)


@pytest.mark.parametrize("variable", ["BINANCE_BASE_URL", "BINANCE_LIMITS"])
def test_an_empty_list_keeps_the_default(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, " , ")
    assert load().providers["binance"] == ProviderSettings()


WRONG = [
    ("CACHE_TTL_MARKET", "-1 0 abc inf nan 1e99"),
    ("CACHE_TTL_OHLC", "-0.5 0"),
    ("MAX_STALE_MARKET", "-1 never"),
    ("REQUEST_DEADLINE", "0 -4 nan inf soon"),
    ("PROVIDER_TIMEOUT", "0 nan"),
    ("COOLDOWN", "0 -30 nan"),
    ("COOLDOWN_MAX", "0 29 inf"),
    ("PORT", "0 -1 70000 abc 78.5"),
    ("LOG_LEVEL", "loud 10"),
    ("BINANCE_BASE_URL", "ftp://x x.example http:// http://user:pw@h http://h#pw"),
    ("BINANCE_BASE_URL", "https://ok.example,nonsense http://[::1 http://h:port http://h:70000"),
    ("COINGECKO_FREE_LIMITS", "lots 0/minute 30 -1/minute 1.5/minute 30/fortnight 30/minute;1/day"),
    ("COINGECKO_PRO_API_KEY", "schlüssel-pw"),
    ("BINANCE_ENABLED", "perhaps 2"),
    ("GATEWAY_API_KEYS", "pw geheim-pw-schlüssel good-key-pw,short"),
    ("CLIENT_RATE_LIMIT", "600 many 0/minute"),
    ("TRUST_PROXY", "-1 11 everybody"),
    ("REDIS_URL", "http://user:pw@h redis:// redis://:pw@h:0 redis://:pw@h:70000 redis://:pw@h:x"),
    ("REDIS_URL", "redis://:pw@h/a redis://:pw@h/0?db=1 redis://:pw@[::1 unix://pw unix:pw h:6379"),
    ("WORKERS", "0 -1 65 two 1.5"),
    ("CLUSTER_SIZE", "-1 1001 all"),
    ("CLUSTER_NAME", "{gw} a:b ä " + 65 * "x"),
    ("CLUSTER_LEAD", "sometimes"),
]


@pytest.mark.parametrize(
    ("variable", "text"), [(variable, text) for variable, texts in WRONG for text in texts.split()]
)
def test_an_invalid_value_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    message = refusal()
    assert message.startswith(f"{variable}: ")
    assert len(message.splitlines()) == 1
    assert len(message) > len(f"{variable}: ")
    assert "pw" not in message


@pytest.mark.parametrize("key", ["a b", f"{KEY} {KEY}", f"{KEY}\n{KEY}", "x" * 513, "\x07" * 8])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("COINGECKO_PRO_API_KEY", key)
    message = refusal()
    assert message.startswith("COINGECKO_PRO_API_KEY: ")
    assert len(message.splitlines()) == 1
    assert key not in message
    assert KEY not in message


def test_no_exception_contains_the_refused_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINGECKO_PRO_API_KEY", f"{KEY} {KEY}")
    with pytest.raises(SettingsError) as caught:
        load()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_longest_cooldown_must_not_be_shorter_than_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COOLDOWN", "60")
    monkeypatch.setenv("COOLDOWN_MAX", "59.9")
    assert refusal() == "COOLDOWN_MAX: 59.9 is smaller than COOLDOWN, 60"
    monkeypatch.setenv("COOLDOWN_MAX", "60")
    assert load().gateway.cooldown_max == 60


@pytest.mark.parametrize(
    ("text", "proxies"), [("", 0), ("false", 0), ("True", 1), ("on", 1), ("2", 2)]
)
def test_trusted_proxies_are_counted(
    monkeypatch: pytest.MonkeyPatch, text: str, proxies: int
) -> None:
    monkeypatch.setenv("TRUST_PROXY", text)
    assert load().gateway.trust_proxy == proxies


def test_gateway_keys_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEYS", " first-key-1, second-key-2,,")
    configuration = load()
    keys = [key.get_secret_value() for key in configuration.gateway.gateway_api_keys]
    assert keys == ["first-key-1", "second-key-2"]
    assert set(keys) <= set(configuration.secrets())
    assert "first-key-1" not in repr(configuration)


def test_the_client_limit_is_600_a_minute_or_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load().gateway.client_rate_limit == (CallLimit(600, 60.0),)
    monkeypatch.setenv("CLIENT_RATE_LIMIT", "")
    assert load().gateway.client_rate_limit == ()


@pytest.mark.parametrize(
    "text",
    [
        "redis://h",
        "redis://h:6379/0",
        "rediss://user:geheim-pw%21@valkey.example:6380/15",
        "valkey://:geheim-pw%21@[::1]:6379",
        "valkeys://h/",
        "unix:///run/valkey.sock",
    ],
)
def test_the_address_of_the_shared_store_is_a_secret(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("REDIS_URL", text)
    configuration = load()
    url = configuration.gateway.redis_url
    assert url is not None
    assert url.get_secret_value() == text
    assert text not in repr(configuration)
    if "pw" in text:
        assert {text, "geheim-pw!"} <= set(configuration.secrets())


def test_no_address_is_no_shared_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", " ")
    assert load().gateway.redis_url is None


def test_several_workers_need_a_shared_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "2")
    assert refusal() == "WORKERS: 2 need REDIS_URL, the address of a Valkey or Redis"
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    assert load().gateway.workers == 2


def test_a_cluster_has_at_least_the_workers_of_one_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    monkeypatch.setenv("WORKERS", "4")
    monkeypatch.setenv("CLUSTER_SIZE", "3")
    assert refusal() == "CLUSTER_SIZE: 3 is smaller than WORKERS, 4"
    monkeypatch.setenv("CLUSTER_SIZE", "0")
    assert load().gateway.cluster_size == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        (" ", None),
        ("state/gateway.sqlite", Path("state/gateway.sqlite")),
        ("/var/lib/g.db", Path("/var/lib/g.db")),
    ],
)
def test_an_empty_state_path_is_none(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: Path | None
) -> None:
    monkeypatch.setenv("STATE_PATH", text)
    assert load().gateway.state_path == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("30/minute", (CallLimit(30, 60.0),)),
        ("5/second", (CallLimit(5, 1.0),)),
        ("100/hours", (CallLimit(100, 3_600.0),)),
        ("50/12 hours", (CallLimit(50, 43_200.0),)),
        ("50/12hours", (CallLimit(50, 43_200.0),)),
        (" 30 / minute , 10000 / month ", (CallLimit(30, 60.0), CallLimit(10_000, 2_592_000.0))),
        ("1000/day,", (CallLimit(1_000, 86_400.0),)),
    ],
)
def test_limits_are_calls_over_a_period(text: str, expected: tuple[CallLimit, ...]) -> None:
    assert parse_limits(text) == expected


def test_no_text_of_a_configuration_contains_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINGECKO_PRO_API_KEY", KEY)
    configuration = load()
    provider = configuration.providers["coingecko_pro"]
    assert configuration.secrets() == (KEY,)
    for shown in (repr(configuration), str(configuration), repr(provider), str(provider)):
        assert KEY not in shown
    assert KEY not in provider.model_dump_json()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wss://one.example:443", "wss://one.example:443"),
        ("ws://127.0.0.1:9/stream", "ws://127.0.0.1:9"),
        ("wss://one.example/behind/a/proxy/", "wss://one.example/behind/a/proxy"),
        ("  ", ""),
        ("", ""),
    ],
)
def test_a_stream_url_may_have_the_path_or_not(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("BINANCE_STREAM_URL", text)
    assert load().providers["binance"].stream_url == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://one.example",
        "wss://",
        "one.example",
        "wss://one.example,wss://two.example",
        "wss://user@one.example",
        "wss://:secret@one.example",
        "wss://one.example/stream?streams=a",
        "wss://one.example/#a",
        "wss://one.example:0",
        "wss://one.example:99999",
        f"wss://{'a' * 64}.example",
    ],
)
def test_an_invalid_stream_url_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BINANCE_STREAM_URL", text)
    with pytest.raises(SettingsError, match="BINANCE_STREAM_URL"):
        load()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("HOST", " 127.0.0.1\r", "127.0.0.1"),
        ("HOST", "[::]", "::"),
        ("HOST", "::", "::"),
        ("PORT", " 8080\r", 8080),
        ("LOG_DIR", "logs\r", Path("logs")),
        ("STATE_PATH", " state/a.db\r", Path("state/a.db")),
        ("WS_DIRECT", "false\r", False),
        ("GATEWAY_API_KEYS", "\r", ()),
    ],
)
def test_space_and_line_ends_around_a_value_are_cut_off(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, expected: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(load().gateway, variable.lower()) == expected


@pytest.mark.parametrize("variable", ["HOST", "PORT", "LOG_LEVEL", "GATEWAY_API_KEYS", "WS_DIRECT"])
def test_invalid_bytes_are_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, os.fsdecode(b"\xff\xfe12345678"))
    assert refusal().startswith(f"{variable}: ")


def test_a_file_from_windows_is_read() -> None:
    Path(".env").write_bytes(b'\xef\xbb\xbfPORT=9000\r\nHOST="127.0.0.1"\r\nLOG_LEVEL=debug\r\n')
    configuration = load()
    assert configuration.gateway.port == 9000
    assert configuration.gateway.host == "127.0.0.1"
    assert configuration.gateway.log_level == "DEBUG"
    assert configuration.warnings == ()


def test_a_file_in_another_encoding_is_refused() -> None:
    Path(".env").write_bytes("PORT=9000\n".encode("utf-16"))
    assert refusal() == ".env: is not UTF-8 text"


def test_a_pipe_or_a_folder_in_place_of_the_file_is_refused() -> None:
    os.mkfifo(".env")
    assert refusal() == ".env: is not a regular file"
    Path(".env").unlink()
    Path(".env").mkdir()
    assert refusal() == ".env: is not a regular file"


def test_an_invalid_line_of_the_file_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Path(".env").write_text(
        "PORT=9000\n= secret\n\n# LOG\nBINANCE_API_KEY\nHOST=127.0.0.1\n\nA b\n"
    )
    configuration = load()
    assert configuration.warnings == tuple(
        f".env: line {line} is not like NAME=value and is ignored" for line in (2, 5, 8)
    )
    assert configuration.gateway.host == "127.0.0.1"
    assert caplog.text == ""


def test_a_misspelt_variable_is_a_warning_with_a_suggestion_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("CACHE_TTL_MARKTE=secret-1\n")
    monkeypatch.setenv("BINANCE_API_KY", "secret-2")
    in_file, in_environment = load().warnings
    assert in_file == (
        "CACHE_TTL_MARKTE (in .env) is not a setting and is ignored; did you mean CACHE_TTL_MARKET?"
    )
    assert in_environment.startswith("BINANCE_API_KY is not a setting")
    assert "did you mean BINANCE_API_KEY?" in in_environment


def test_many_misspelt_variables_are_counted() -> None:
    Path(".env").write_text("".join(f"BINANCE_X{number}=\n" for number in range(50)))
    warnings = load().warnings
    assert len(warnings) == 21
    assert warnings[-1] == "30 more variables look like settings and are ignored"


def test_a_proxy_is_read_from_the_environment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".env").write_text("HTTPS_PROXY=http://file:1\n")
    monkeypatch.setenv("HTTP_PROXY", "http://anna:hunter22@proxy:3128")
    configuration = load()
    network = configuration.network
    assert network.secure is None
    assert network.plain is not None
    assert network.plain.address == "http://proxy:3128"
    assert "hunter22" in configuration.secrets()
    assert "hunter22" not in repr(configuration)
    (warning,) = configuration.warnings
    assert warning == "HTTPS_PROXY is read from the environment only and is ignored in .env"


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("https_proxy", "http://u:pw@h:port"),
        ("SSL_CERT_FILE", "/gone"),
        ("SSL_CERT_DIR", "/gone"),
    ],
)
def test_an_invalid_proxy_or_certificate_is_an_invalid_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    message = refusal()
    assert message.startswith(f"{variable}: ")
    assert "pw" not in message


def test_a_host_with_a_long_label_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BINANCE_BASE_URL", f"https://{'a' * 64}.example")
    assert refusal().startswith("BINANCE_BASE_URL: ")


def test_all_wrong_settings_are_told_at_once_with_their_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = {
        "PORT": "many",
        "WS_DIRECT": "perhaps",
        "CACHE_TTL_GAS": "soon",
        "COOLDOWN": "-1",
        "BINANCE_ENABLED": "2",
        "BINANCE_LIMITS": "lots",
        "COINGECKO_PRO_API_KEY": f"{KEY} {KEY}",
        "HTTPS_PROXY": "socks4://proxy.corp:1080",
        "SSL_CERT_FILE": "gone.pem",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    lines = caught.value.problems
    assert {line.partition(":")[0] for line in lines} == set(wrong)
    assert "PORT: must be a whole number, not 'many'" in lines
    assert "WS_DIRECT: must be true or false, not 'perhaps'" in lines
    assert "CACHE_TTL_GAS: must be a number, not 'soon'" in lines
    assert "COOLDOWN: must be greater than 0, not '-1'" in lines
    assert "SSL_CERT_FILE: 'gone.pem' cannot be read: No such file or directory" in lines
    (proxy,) = (line for line in lines if line.startswith("HTTPS_PROXY"))
    assert proxy.endswith("socks5 and socks5h are supported, not 'socks4://proxy.corp:1080'")
    assert KEY not in str(caught.value)
    assert str(caught.value).splitlines() == list(lines)


def test_contradictions_are_told_beside_wrong_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "2")
    monkeypatch.setenv("BINANCE_LIMITS", "lots")
    assert [line.partition(":")[0] for line in refusal().splitlines()] == [
        "BINANCE_LIMITS",
        "WORKERS",
    ]
