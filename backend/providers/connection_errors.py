"""What broke a connection, in words for users.

The words are our own, OpenSSL's or the system's: no text of a library, which may contain an address
or a key.
"""

import errno
import os
import re
import socket
import ssl
from collections import deque
from collections.abc import Iterator

import anyio
import httpcore
import httpx
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidURI, ProxyError

from backend.providers.tunnel import ProxyUnreachable

#: Causes of an error that are looked at; a chain of causes may be circular.
MOST_CAUSES = 20
CERTIFICATE = "the certificate is not accepted"
#: OpenSSL's codes of a certificate that names another host or address (X509_V_ERR_…_MISMATCH).
OTHER_HOST = (62, 64)
#: httpcore's and h11's texts of a connection that ends too early.
_CLOSED = ("Server disconnected", "peer closed connection")
#: Our own texts about a proxy's answer (tunnel.py); an address would have other characters.
_PROXY_TEXT = re.compile(r"the proxy('s answer)?[\w ,]+")
_BY_TYPE: dict[type[BaseException], str] = {
    anyio.EndOfStream: "the connection was closed during the handshake",
    anyio.BrokenResourceError: "the connection broke during the handshake",
    EOFError: "the connection was closed during the handshake",
    httpx.ReadError: "the connection broke before the answer was complete",
    httpx.WriteError: "the connection broke while the request was sent",
    httpx.RemoteProtocolError: "the answer is not valid HTTP",
    ConnectionClosed: "the connection was closed",
    InvalidMessage: "the answer is not valid HTTP",
    InvalidURI: "the address is not valid",
    ProxyError: "the proxy refused, or its answer is not valid",
}


def describe(error: BaseException) -> str:
    """Why a connection failed or broke; the type's name where that is unknown."""
    causes = [*_causes(error)]
    known = next(filter(None, map(_of_system, causes)), "")
    if any(isinstance(cause, ProxyUnreachable) for cause in causes):
        return f"the proxy cannot be reached: {known}" if known else "the proxy cannot be reached"
    return known or _of_library(error) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what caused it; of several attempts at once, those of each."""
    waiting: deque[BaseException | None] = deque([error])
    for _ in range(MOST_CAUSES):
        if not waiting:
            return
        if (one := waiting.popleft()) is None:
            continue
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def _of_system(error: BaseException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            code, text = error.verify_code, error.verify_message
            reason = "it is for another host" if code in OTHER_HOST else text
            return f"{CERTIFICATE}: {reason}"
        case ssl.SSLError():
            return f"TLS failed: {(error.reason or 'unknown').replace('_', ' ').lower()}"
        case socket.gaierror():
            return "the host name cannot be resolved"
        case TimeoutError():
            return "the connection timed out"
        case OSError(errno=int(number)) if number in errno.errorcode:
            text = os.strerror(number)
            return text[:1].lower() + text[1:]
    return ""


def _of_library(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, httpx.ProxyError | httpcore.ProxyError) and _PROXY_TEXT.fullmatch(text):
        return text
    if isinstance(error, httpx.RemoteProtocolError) and text.startswith(_CLOSED):
        return "the connection was closed before the answer was complete"
    return next((words for kind, words in _BY_TYPE.items() if isinstance(error, kind)), "")
