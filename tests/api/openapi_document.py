"""`python -m tests.api.openapi_document` writes docs/openapi.json, which a test holds against the
application: a change of the interface is seen in review."""

from pathlib import Path
from typing import Any

import orjson

from api.hf_unified_server import create_app
from api.routes.schemas import FACADE_TAG
from backend.settings import Configuration, Settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def document() -> bytes:
    """As an open gateway with all facades serves it."""
    settings = Settings(_env_prefix="NOBODY_SETS_THIS_", _env_file=None)
    described = create_app(Configuration(settings, {})).openapi()
    return orjson.dumps(described, option=orjson.OPT_INDENT_2) + b"\n"


def own_paths(document: Any) -> dict[str, Any]:
    """The paths without those of facades, which have other errors."""
    return {
        path: methods
        for path, methods in document["paths"].items()
        if not any(FACADE_TAG in operation["tags"] for operation in methods.values())
    }


if __name__ == "__main__":
    DOCUMENT.write_bytes(document())
