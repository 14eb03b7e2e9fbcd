"""`python -m tests.api.openapi_document` writes docs/openapi.json, which a test holds against the
application: a change of the interface is seen in review."""

from pathlib import Path

import orjson

from api.hf_unified_server import create_app
from backend.settings import Configuration, Settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def document() -> bytes:
    """As any gateway serves it: nothing in it depends on settings."""
    settings = Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None)
    described = create_app(Configuration(settings, {})).openapi()
    return orjson.dumps(described, option=orjson.OPT_INDENT_2) + b"\n"


if __name__ == "__main__":
    DOCUMENT.write_bytes(document())
