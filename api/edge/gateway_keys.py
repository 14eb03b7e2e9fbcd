"""Gateway keys: GATEWAY_API_KEYS, and the request headers that may carry one."""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from pydantic import SecretStr

#: Request headers that may carry a key.
KEY_HEADERS = ("Authorization", "X-API-Key")


class GatewayKeys:
    """The valid keys, of which only digests are kept. Without keys every request is admitted."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        self._digests = tuple(_digest(key.get_secret_value()) for key in keys)

    def __repr__(self) -> str:
        return f"<GatewayKeys {len(self._digests)}>"

    def __bool__(self) -> bool:
        return bool(self._digests)

    def is_valid(self, key: str) -> bool:
        """Compares in constant time, so that a wrong key cannot be improved step by step."""
        sent = _digest(key)
        found = [hmac.compare_digest(sent, digest) for digest in self._digests]
        return any(found)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """By `X-API-Key` or `Authorization: Bearer`. `headers` are looked up in lower case."""
        if not self:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        sent = (headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else "")
        return any(self.is_valid(key) for key in sent if key)

    def admits_fields(self, fields: Mapping[bytes, bytes]) -> bool:
        """The same for header fields as the server gives them."""
        sent = {name: fields.get(name.encode(), b"") for name in ("authorization", "x-api-key")}
        return self.admits({name: value.decode("latin-1") for name, value in sent.items()})


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "replace"), digest_size=32).digest()
