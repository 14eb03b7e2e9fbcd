"""HOST and PORT become listening sockets, or one line that names the variable."""

import errno
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from api.server.listening import ALL_IPV4, open_sockets, warn_if_open_to_all
from backend.environment import SettingsError
from backend.environment.problem_lines import shown
from backend.settings import Settings
from tests.life.process import free_port

NO_IPV6 = "this machine has no IPv6"


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason=NO_IPV6)


@pytest.fixture
def listen() -> Iterator[Callable[[str, int], list[socket.socket]]]:
    made: list[socket.socket] = []

    def bind(host: str, port: int) -> list[socket.socket]:
        made.extend(open_sockets(host, port))
        return made

    yield bind
    for one in made:
        one.close()


Listen = Callable[[str, int], list[socket.socket]]


def refusal(host: str, port: int) -> str:
    with pytest.raises(SettingsError) as caught:
        open_sockets(host, port)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_an_address_is_one_socket_that_listens(listen: Listen) -> None:
    port = free_port()
    (one,) = listen("127.0.0.1", port)
    assert one.getsockname() == ("127.0.0.1", port)
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "::0", "0:0:0:0:0:0:0:0"])
def test_a_double_colon_opens_both_families(listen: Listen, host: str) -> None:
    port = free_port()
    six, four = listen(host, port)
    assert (six.family, six.getsockname()[:2]) == (socket.AF_INET6, ("::", port))
    assert (four.family, four.getsockname()) == (socket.AF_INET, (ALL_IPV4, port))
    assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1  # the other one's callers


def without(monkeypatch: pytest.MonkeyPatch, *families: int) -> None:
    """As on a machine whose kernel knows no such family."""
    original = socket.socket

    def make(family: int = socket.AF_INET, *more: Any, **options: Any) -> socket.socket:
        if family in families:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return original(family, *more, **options)

    monkeypatch.setattr(socket, "socket", make)


def test_a_double_colon_without_ipv6_is_ipv4_and_a_warning(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    without(monkeypatch, socket.AF_INET6)
    (one,) = listen("::", port)
    assert one.getsockname() == (ALL_IPV4, port)
    (record,) = caplog.records
    assert record.getMessage().startswith("HOST=::: :: is not served: ")


@needs_ipv6
def test_a_double_colon_without_ipv4_is_ipv6_and_a_warning(
    listen: Listen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    without(monkeypatch, socket.AF_INET)
    (one,) = listen("::", port)
    assert one.getsockname()[:2] == ("::", port)
    assert len(caplog.records) == 1


def test_an_ipv6_address_without_ipv6_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    without(monkeypatch, socket.AF_INET6)
    assert refusal("::1", port) == "HOST: '::1' needs IPv6, which this machine lacks"


def test_a_port_in_use_is_named(listen: Listen) -> None:
    port = free_port()
    listen("127.0.0.1", port)
    assert refusal("127.0.0.1", port) == f"PORT: {port} is in use by another process"
    assert refusal("::", port) == f"PORT: {port} is in use by another process"


def test_nothing_stays_bound_after_a_refusal(listen: Listen) -> None:
    port = free_port()
    (one,) = listen("127.0.0.1", port)
    refusal("::", port)
    one.close()
    listen("::", port)


def test_a_port_is_free_again_at_once(listen: Listen) -> None:
    port = free_port()
    (one,) = listen("127.0.0.1", port)
    with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
        accepted, _ = socket.socket.accept(one)
        accepted.close()  # ours waits, as the server's does after a restart
        client.recv(1)
    one.close()
    listen("127.0.0.1", port)


@pytest.mark.parametrize(
    "host",
    ["nobody.invalid", "0.0.0.0:7860", "http://localhost", "a" * 64, "a..b", "a\x00b", "*", "[::"],
)
def test_an_invalid_host_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: Any, **_options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    if host in ("nobody.invalid", "*"):  # else the test would ask a name server
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert refusal(host, 7860).startswith(f"HOST: cannot listen on {shown(host)}: ")


def test_an_address_of_another_machine_is_refused() -> None:
    told = "HOST: '192.0.2.1' is not an address of this machine"
    assert refusal("192.0.2.1", free_port()) == told


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "PORT: this process is not permitted to use 80"),
        (errno.EPERM, "PORT: this process is not permitted to use 80"),
        (errno.EINVAL, "HOST: cannot listen on '127.0.0.1': no"),
    ],
)
def test_every_error_of_the_system_is_one_line(
    monkeypatch: pytest.MonkeyPatch, number: int, message: str
) -> None:
    def refuse(_socket: socket.socket, _address: Any) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    assert refusal("127.0.0.1", 80) == message


@pytest.mark.parametrize(
    ("host", "changed", "is_told"),
    [
        (ALL_IPV4, {}, True),
        ("127.0.0.1", {}, False),
        ("localhost", {}, False),
        (ALL_IPV4, {"gateway_api_keys": (SecretStr("first-key"),)}, False),
        (ALL_IPV4, {"cors_origins": ("https://my.example",)}, False),
    ],
)
def test_a_gateway_that_is_open_to_all_logs_one_warning(
    host: str,
    changed: dict[str, Any],
    is_told: bool,
    listen: Listen,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = Settings(_env_file=None, _env_prefix="NOBODY_SETS_THIS_")
    settings = plain.model_copy(update={"host": host, **changed})
    caplog.set_level(logging.INFO)
    warn_if_open_to_all(settings, listen(host, free_port()))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == is_told
    for variable in ("GATEWAY_API_KEYS", "CORS_ORIGINS", f"HOST={ALL_IPV4}"):
        assert all(variable in line for line in lines)
