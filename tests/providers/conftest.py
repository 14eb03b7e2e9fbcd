"""What the tests of connections share: an authority, and a server's certificate for HOST."""

import ssl
from pathlib import Path

import pytest
import trustme

#: No resolver has this name: only a proxy of the tests' world finds it.
HOST = "venue.example"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Authority", organization_unit_name="Tests")


@pytest.fixture
def cert_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(context)
    return context
