"""The trusted certificate authorities: SSL_CERT_FILE and SSL_CERT_DIR, or Mozilla's list."""

import os
import re
import ssl
from functools import lru_cache
from pathlib import Path

import certifi

from backend.environment.errors import SettingsError

#: File names that `openssl rehash` gives; OpenSSL ignores all others.
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")


@lru_cache(maxsize=8)  # reading Mozilla's list takes a tenth of a second
def tls_context(file: str = "", folder: str = "") -> ssl.SSLContext:
    """The context of all clients. `folder` may list several, as PATH does. Raises SettingsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it checks certificates and host names
    context.set_alpn_protocols(["http/1.1"])
    if not (file or folder):
        context.load_verify_locations(cafile=certifi.where())
    if file:
        _load_file(context, file)
    if folder:
        _load_folder(context, folder, is_only=not file)
    return context


def _load_file(context: ssl.SSLContext, file: str) -> None:
    path = Path(file)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise SettingsError("SSL_CERT_FILE: is not a regular file")
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise SettingsError("SSL_CERT_FILE: contains no certificate in PEM format") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"SSL_CERT_FILE: cannot be read: {_cause(error)}") from None


def _load_folder(context: ssl.SSLContext, folders: str, *, is_only: bool) -> None:
    names: list[str] = []
    problem = ""
    for folder in filter(None, folders.split(os.pathsep)):
        try:
            names += (path.name for path in Path(folder).iterdir())
        except (OSError, ValueError) as error:
            problem = _cause(error)
    if problem and not names:
        raise SettingsError(f"SSL_CERT_DIR: cannot be read: {problem}")
    if is_only and not any(map(_HASHED.fullmatch, names)):
        raise SettingsError(
            "SSL_CERT_DIR: contains no certificate named by its hash; run openssl rehash"
        )
    context.load_verify_locations(capath=folders)


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
