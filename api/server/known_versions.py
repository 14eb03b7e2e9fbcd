"""The versions of uvicorn and websockets whose internals this package knows.

It subclasses their protocols and uses attributes that they do not document. Behind any other
version the gateway serves the plain way, by ASGI: the same bytes, without the limits of single
connections.
"""

import logging
from importlib.metadata import version

#: The beginnings of the versions that the tests have run with.
KNOWN = {"uvicorn": ("0.54.",), "websockets": ("17.",)}

log = logging.getLogger("gateway")


def unknown_versions() -> str:
    """The packages that are installed in another version, as "name version"; empty without any."""
    installed = {name: version(name) for name in KNOWN}
    return ", ".join(
        f"{name} {installed[name]}" for name in KNOWN if not installed[name].startswith(KNOWN[name])
    )


def is_server_known() -> bool:
    """False, with a warning, where the plain way has to do."""
    unknown = unknown_versions()
    if unknown:
        known = ", ".join(f"{name} {'|'.join(begins)}x" for name, begins in KNOWN.items())
        log.warning(
            "%s is not known to this version of the gateway (%s): requests take uvicorn's own way,"
            " which is slower and has no limits for slow clients and open connections",
            unknown,
            known,
        )
    return not unknown
