"""Proxies and certificates: which variables are accepted, and the one-line error for others."""

import os
from pathlib import Path

import pytest
import trustme

from backend.environment import SettingsError
from backend.environment.network import NetworkSettings, read_network


def read(**environment: str) -> NetworkSettings:
    return read_network(environment)[0]


def refusal(**environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_network(environment)
    assert caught.value.__cause__ is None
    return str(caught.value)


def proxy_of(network: NetworkSettings, scheme: str) -> str | None:
    proxy = network.proxy_for(scheme, "venue.example", None)
    return proxy.address if proxy else None


def test_without_variables_calls_are_direct() -> None:
    network, warnings = read_network({})
    assert network == NetworkSettings()
    assert warnings == ()
    assert proxy_of(network, "https") is None


@pytest.mark.parametrize(
    ("environment", "plain", "secure"),
    [
        ({"HTTP_PROXY": "a:1"}, "http://a:1", None),
        ({"http_proxy": "a:1"}, "http://a:1", None),
        ({"HTTPS_PROXY": "a:1"}, None, "http://a:1"),
        ({"ALL_PROXY": "a:1"}, "http://a:1", "http://a:1"),
        ({"all_proxy": "socks://a"}, "socks5://a:1080", "socks5://a:1080"),
        ({"ALL_PROXY": "a:1", "HTTPS_PROXY": "b:2"}, "http://a:1", "http://b:2"),
        ({"HTTPS_PROXY": "a:1", "https_proxy": "b:2"}, None, "http://b:2"),
        ({"HTTPS_PROXY": "a:1", "https_proxy": ""}, None, "http://a:1"),
        ({"HTTPS_PROXY": " "}, None, None),
    ],
)
def test_variables_are_read_as_curl_does(
    environment: dict[str, str], plain: str | None, secure: str | None
) -> None:
    network = read(**environment)
    assert (proxy_of(network, "http"), proxy_of(network, "https")) == (plain, secure)


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
)
def test_an_invalid_proxy_is_one_line_that_names_the_variable(name: str) -> None:
    message = refusal(**{name: "http://anna:secret@proxy.corp:port", "NO_PROXY": "*"})
    assert message.startswith(f"{name}: must be an address like ")
    assert "secret" not in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "localhost,127.0.0.1,fd07:b51a:cc66:f0::/64",
        "localhost,127.0.0.1,fc00::/7,fe80::/10",
        "localhost,127.0.0.1,[::1]",
    ],
)
def test_lists_of_common_tools_are_understood(text: str) -> None:
    network, warnings = read_network({"NO_PROXY": text, "ALL_PROXY": "a:1"})
    assert warnings == ()
    assert network.proxy_for("http", "127.0.0.1", 80) is None


def test_invalid_entries_are_one_warning_that_shows_none_of_them() -> None:
    _, (warning,) = read_network({"no_proxy": "localhost,http://u:secret@h,10.0.0.0/99"})
    assert warning.startswith("no_proxy: ")
    assert "2, 3" in warning
    assert "secret" not in warning


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\x30\x82\x01\x0a" * 100])
def test_a_file_without_certificates_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "authorities.pem"
    path.write_bytes(content)
    message = refusal(SSL_CERT_FILE=str(path))
    assert message.endswith("authorities.pem' contains no certificate in PEM format")


@pytest.mark.parametrize("path", ["/nonexistent/cacert.pem", "gone.pem", "\x00"])
def test_a_missing_file_is_refused(path: str) -> None:
    message = refusal(SSL_CERT_FILE=path)
    assert message.startswith(f"SSL_CERT_FILE: {path!r} cannot be read: ")
    assert len(message.splitlines()) == 1


def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert refusal(SSL_CERT_FILE=str(tmp_path)).endswith(" is not a regular file")
    os.mkfifo(tmp_path / "pipe")
    assert refusal(SSL_CERT_FILE=str(tmp_path / "pipe")).endswith("pipe' is not a regular file")


def test_a_missing_folder_or_one_without_hashes_is_refused(tmp_path: Path) -> None:
    told = "SSL_CERT_DIR: '/nonexistent' cannot be read: No such file or directory"
    assert refusal(SSL_CERT_DIR="/nonexistent") == told
    (tmp_path / "authority.pem").write_bytes(trustme.CA().cert_pem.bytes())
    assert refusal(SSL_CERT_DIR=str(tmp_path)).endswith("openssl rehash")
    (tmp_path / "12345678.0").write_bytes(b"")
    read(SSL_CERT_DIR=f"/nonexistent:{tmp_path}")


def test_an_empty_folder_is_allowed_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "authorities.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes())
    (tmp_path / "empty").mkdir()
    network = read(SSL_CERT_FILE=str(path), SSL_CERT_DIR=str(tmp_path / "empty"))
    assert network.tls().cert_store_stats()["x509_ca"] == 1


def test_mozillas_authorities_are_the_default() -> None:
    assert NetworkSettings().tls().cert_store_stats()["x509_ca"] > 50


def test_a_key_log_for_debugging_does_not_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    path = tmp_path / "authorities.pem"
    path.write_bytes(trustme.CA().cert_pem.bytes())
    assert read(SSL_CERT_FILE=str(path)).tls().keylog_filename is None


def test_passwords_of_proxies_are_secrets() -> None:
    network = read(HTTP_PROXY="http://anna:hunter22@a", HTTPS_PROXY="socks5://bert:hunter33@b")
    assert {"hunter22", "hunter33", "anna:hunter22"} <= set(network.secrets())
    assert "hunter" not in repr(network)


def test_all_variables_that_cannot_work_are_named_at_once() -> None:
    lines = refusal(
        HTTPS_PROXY="socks4://proxy:1", http_proxy="http://anna:hunter22@[", SSL_CERT_FILE="gone"
    ).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "http_proxy",
        "HTTPS_PROXY",
        "SSL_CERT_FILE",
    ]
    assert "not 'socks4://proxy:1'" in lines[1]
    assert "hunter22" not in "".join(lines)
