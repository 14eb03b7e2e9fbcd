"""What routers declare of their paths to the edge, which acts before a route is found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Scope

from api.edge.problems import ProblemDetails, problem_json


class Access(Enum):
    """Who may use a path where gateway keys are set."""

    KEY = "only clients with a key"
    PUBLIC = "every client"
    #: Every client, and counted apart from what its programs ask for: see `PageLimits`.
    PAGE = "the dashboard's files"
    #: Every client, and neither limits nor sizes are checked: for the platform's health probes.
    PROBE = "health probes"


RenderError = Callable[[ProblemDetails], Response]
T = TypeVar("T")

#: The methods of a path that declares none.
READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    """Headers and query parameters, by lower-case names, that may carry a gateway key besides
    `X-API-Key` and `Authorization: Bearer`."""

    headers: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


USUAL_PLACES = KeyPlaces()


class GatewayRouter(APIRouter):
    """A router that differs from the default: locked by gateway keys, errors as problem+json.

    `access` holds for each of its paths. `render_error` makes the responses for all errors under
    its prefix: the edge's refusals, unknown paths, errors of routes, and failures of the server.
    `key_places` are further places of a gateway key under its prefix.
    """

    def __init__(
        self,
        *,
        access: Access = Access.KEY,
        render_error: RenderError | None = None,
        key_places: KeyPlaces = USUAL_PLACES,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.access = access
        self.render_error = render_error
        self.key_places = key_places


class PathPolicies:
    """The declarations of all routers, looked up by path. Paths without one are locked."""

    def __init__(self) -> None:
        self._access: dict[str, Access] = {}
        #: Of paths with parameters: how they begin.
        self._prefixes: dict[str, Access] = {}
        self._locked: list[str] = []
        self._renderers: dict[str, RenderError] = {}
        self._key_places: dict[str, KeyPlaces] = {}
        #: Of the paths that take other methods than GET.
        self._methods: dict[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"<PathPolicies {len(self._access)} paths, {len(self._renderers)} renderers>"

    def declare(self, router: APIRouter, prefix: str = "") -> None:
        """A plain router is locked. `prefix` comes before the router's own.

        Raises ValueError for a declaration that would unlock another router's path, or every path,
        and for a dialect of every path.
        """
        own = router if isinstance(router, GatewayRouter) else GatewayRouter()
        for route in router.routes:
            if path := getattr(route, "path", ""):
                self._declare_path(f"{prefix}{path}", own.access)
                methods = sorted(getattr(route, "methods", None) or READING)
                if not set(methods) <= set(READING):
                    self._methods[f"{prefix}{path}"] = tuple(methods)
        for path in self._locked:
            if self.access(path) is not Access.KEY:
                raise ValueError(f"{path} is locked, but a public path includes it")
        if own.render_error is not None or own.key_places != USUAL_PLACES:
            self._declare_dialect(prefix + router.prefix, own)

    def _declare_dialect(self, prefix: str, router: GatewayRouter) -> None:
        if not prefix.strip("/"):
            raise ValueError("a router with a dialect must have a prefix")
        if router.render_error is not None:
            self._renderers[prefix] = router.render_error
        self._key_places[prefix] = router.key_places

    def _declare_path(self, path: str, access: Access) -> None:
        """With parameters in it: all paths that begin like it."""
        fixed, brace, _ = path.partition("{")
        if access is Access.KEY:
            self._locked.append(fixed)
        elif not brace:
            self._access[path] = access
        elif access in (Access.PUBLIC, Access.PAGE) and fixed.strip("/"):
            self._prefixes[fixed] = access
        else:
            raise ValueError(f"{path} cannot be {access.name}: its paths have no common prefix")

    def access(self, path: str) -> Access:
        """A public path with a slash behind it is public too: it is only redirected."""
        if path in self._access:
            return self._access[path]
        if path.rstrip("/") in self._access:
            return Access.PUBLIC
        found = (access for prefix, access in self._prefixes.items() if path.startswith(prefix))
        return next(found, Access.KEY)

    def renderer(self, path: str) -> RenderError:
        """By the longest declared prefix of whole segments."""
        return _by_prefix(self._renderers, path) or problem_json

    def key_places(self, path: str) -> KeyPlaces:
        """By the longest declared prefix of whole segments."""
        return _by_prefix(self._key_places, path) or USUAL_PLACES

    def methods(self, path: str) -> tuple[str, ...]:
        """Those that pages of other origins may ask for."""
        return self._methods.get(path, READING)


def _by_prefix(declared: Mapping[str, T], path: str) -> T | None:
    found = [one for one in declared if path == one or path.startswith(f"{one}/")]
    return declared[max(found, key=len)] if found else None


def route_path(scope: Scope) -> str:
    """The path that routes are found by: without the root path that the server may add."""
    path: str = scope["path"]
    prefix = f"{scope.get('root_path', '')}/"
    return path[len(prefix) - 1 :] if path.startswith(prefix) else path
