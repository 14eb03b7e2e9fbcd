"""Proxy addresses and lists of exempt hosts, as users and tools write them."""

import pytest

from backend.environment.network import NetworkSettings
from backend.environment.proxies import Proxy, parse_no_proxy, parse_proxy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.corp:3128", Proxy("http", "proxy.corp", 3128)),
        ("http://proxy.corp:3128/", Proxy("http", "proxy.corp", 3128)),
        (" HTTP://Proxy.Corp. ", Proxy("http", "proxy.corp", 80)),
        ("proxy:3128", Proxy("http", "proxy", 3128)),
        ("proxy_1", Proxy("http", "proxy_1", 80)),
        ("anna:word@proxy:3128", Proxy("http", "proxy", 3128, "anna", "word")),
        ("https://proxy", Proxy("https", "proxy", 443)),
        ("socks5://127.0.0.1", Proxy("socks5", "127.0.0.1", 1080)),
        ("socks5h://127.0.0.1:1081", Proxy("socks5", "127.0.0.1", 1081)),
        ("socks://127.0.0.1:1080", Proxy("socks5", "127.0.0.1", 1080)),
        ("http://[::1]:8080", Proxy("http", "::1", 8080)),
        ("http://anna@proxy", Proxy("http", "proxy", 80, "anna")),
        ("http://:token@proxy", Proxy("http", "proxy", 80, "", "token")),
        ("http://a%40b:p%3Aw%2F%25@proxy:1", Proxy("http", "proxy", 1, "a@b", "p:w/%")),
        ("http://anna:gr%C3%BCn@proxy", Proxy("http", "proxy", 80, "anna", "grün")),
        ("http://bücher.example:1", Proxy("http", "xn--bcher-kva.example", 1)),
    ],
)
def test_proxy_urls_of_users_are_parsed(text: str, expected: Proxy) -> None:
    assert parse_proxy(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://proxy.corp:port",
        "http://proxy:0",
        "http://proxy:70000",
        "http://",
        "http://:3128",
        "://proxy",
        "ftp://proxy",
        "socks4://proxy",
        "http://proxy/proxy.pac",
        "http://proxy?a=secret",
        "http://anna:sec#secret@proxy:3128",
        "http://anna:sec/secret@proxy:3128",
        "http://[::1",
        "http://[nonsense]:1",
        "http://a..b:1",
        f"http://{'a' * 64}.example",
        "http://anna:secret%ff@proxy",
        "socks5://anna@proxy",
        "socks5://:secret@proxy",
        "socks5://anna:s%C3%A9cret-secret@proxy",
        f"socks5://anna:{'secret' * 50}@proxy",
        "http://pro xy:3128",
        "http://user:secret@",
    ],
)
def test_an_invalid_proxy_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_proxy(text)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not isinstance(caught.value, UnicodeError)  # its text would show the address


def test_the_shown_address_of_a_proxy_has_no_password() -> None:
    proxy = parse_proxy("http://anna:p%40ss@[::1]:3128", "HTTP_PROXY")
    assert proxy.address == "http://[::1]:3128"
    assert proxy.url == "http://anna:p%40ss@[::1]:3128"
    assert proxy.authorization == "Basic YW5uYTpwQHNz"
    assert "p@ss" not in repr(proxy)
    assert "anna" not in repr(proxy)
    assert set(proxy.secrets()) == {"p@ss", "anna:p@ss", "YW5uYTpwQHNz"}


def test_without_a_password_nothing_is_secret() -> None:
    proxy = parse_proxy("http://proxy:3128")
    assert (proxy.authorization, proxy.secrets()) == (None, ())
    assert proxy.url == "http://proxy:3128"


EXEMPT = [
    ("localhost", "localhost:80", True),
    ("localhost", "localhost.example:80", False),
    ("example.com", "example.com:443", True),
    ("example.com", "API.Example.COM.:443", True),
    ("example.com", "badexample.com:443", False),
    (".example.com", "example.com:443", True),
    (".example.com", "api.example.com:443", True),
    ("*.example.com", "api.example.com:443", True),
    ("example.com.", "api.example.com:443", True),
    ("example.com:8443", "api.example.com:8443", True),
    ("example.com:8443", "api.example.com:443", False),
    ("*", "anybody.example:443", True),
    ("a.example,*", "2001:db8::1:443", True),
    ("a.example b.example", "b.example:1", True),
    (" a.example , b.example,, ", "b.example:1", True),
    ("10.0.0.1", "10.0.0.1:80", True),
    ("10.0.0.1", "10.0.0.11:80", False),
    ("0.0.1", "10.0.0.1:80", False),
    ("10.0.0.1:80", "10.0.0.1:80", True),
    ("10.0.0.1:81", "10.0.0.1:80", False),
    ("10.0.0.0/8", "10.200.3.4:80", True),
    ("10.1.2.3/8", "10.200.3.4:80", True),
    ("10.0.0.0/8", "11.0.0.1:80", False),
    ("10.0.0.0/8", "10.example:80", False),
    ("fd07:b51a:cc66:f0::/64", "fd07:b51a:cc66:f0::2:80", True),
    ("fd07:b51a:cc66:f0::/64", "fd07:b51a:cc66:f1::2:80", False),
    ("fc00::/7,fe80::/10", "fe80::1:80", True),
    ("[::1]", "::1:80", True),
    ("[::1]:80", "::1:80", True),
    ("[::1]:81", "::1:80", False),
    ("::1", "::1:80", True),
    ("[fc00::]/7", "fd00::1:80", True),
    ("fe80::1%eth0", "fe80::1:80", True),
    ("0:0:0:0:0:0:0:1", "::1:80", True),
    ("", "localhost:80", False),
]


@pytest.mark.parametrize(("text", "called", "is_exempt"), EXEMPT)
def test_exempt_hosts(text: str, called: str, is_exempt: bool) -> None:
    exempt, senseless = parse_no_proxy(text)
    host, _, port = called.rpartition(":")
    assert senseless == ()
    assert exempt.cover(host, int(port)) is is_exempt


@pytest.mark.parametrize(
    "entry",
    "http://proxy 10.0.0.0/33 10.0.0.* [::1 [nonsense] host:port host:0 host:70000 a..b / *. :80"
    " fd00::/129 1.2.3.4/24:80 <local>".split(),
)
def test_an_invalid_entry_does_not_affect_the_others(entry: str) -> None:
    exempt, senseless = parse_no_proxy(f"first.example,{entry},last.example")
    assert senseless == (2,)
    assert exempt.cover("first.example", 80)
    assert exempt.cover("last.example", 80)
    assert not exempt.cover("proxy", 80)


PLAIN, SECURE = Proxy("http", "plain", 1), Proxy("http", "secure", 2)


@pytest.mark.parametrize(
    ("scheme", "expected"), [("http", PLAIN), ("ws", PLAIN), ("https", SECURE), ("wss", SECURE)]
)
def test_each_scheme_has_its_proxy(scheme: str, expected: Proxy) -> None:
    assert NetworkSettings(PLAIN, SECURE).proxy_for(scheme, "venue.example", None) == expected
    assert NetworkSettings().proxy_for(scheme, "venue.example", None) is None


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("ws", 80), ("https", 443)])
def test_without_a_port_the_default_of_the_scheme_is_used(scheme: str, port: int) -> None:
    exempt, _ = parse_no_proxy(f"venue.example:{port}")
    settings = NetworkSettings(PLAIN, SECURE, exempt)
    assert settings.proxy_for(scheme, "venue.example", None) is None
    assert settings.proxy_for(scheme, "venue.example", 8_000) is not None


def test_one_proxy_for_both_schemes_is_one() -> None:
    assert NetworkSettings(PLAIN, PLAIN).proxies == (PLAIN,)
    assert NetworkSettings(PLAIN, SECURE).proxies == (PLAIN, SECURE)
    assert NetworkSettings().proxies == ()
