"""What routers declare of their paths to the edge, which acts before a route is found."""

from collections.abc import Callable
from enum import Enum
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response
from starlette.types import Scope

from api.edge.problems import ProblemDetails, problem_json


class Access(Enum):
    """Who may use a path where gateway keys are set."""

    KEY = "only clients with a key"
    PUBLIC = "every client"
    #: Every client, and neither limits nor sizes are checked: for the platform's health probes.
    PROBE = "health probes"


RenderError = Callable[[ProblemDetails], Response]


class GatewayRouter(APIRouter):
    """A router that differs from the default: locked by gateway keys, errors as problem+json.

    `access` holds for each of its paths. `render_error` makes the responses for all errors under
    its prefix: the edge's refusals, unknown paths, errors of routes, and failures of the server.
    """

    def __init__(
        self,
        *,
        access: Access = Access.KEY,
        render_error: RenderError | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.access = access
        self.render_error = render_error


class PathPolicies:
    """The declarations of all routers, looked up by path. Paths without one are locked."""

    def __init__(self) -> None:
        self._access: dict[str, Access] = {}
        self._public_prefixes: tuple[str, ...] = ()
        self._locked: list[str] = []
        self._renderers: dict[str, RenderError] = {}

    def __repr__(self) -> str:
        return f"<PathPolicies {len(self._access)} paths, {len(self._renderers)} renderers>"

    def declare(self, router: APIRouter, prefix: str = "") -> None:
        """A plain router is locked. `prefix` comes before the router's own.

        Raises ValueError for a declaration that would unlock another router's path, or every path,
        and for one that would render the errors of every path.
        """
        access, render_error = Access.KEY, None
        if isinstance(router, GatewayRouter):
            access, render_error = router.access, router.render_error
        for route in router.routes:
            if path := getattr(route, "path", ""):
                self._declare_path(f"{prefix}{path}", access)
        for path in self._locked:
            if self.access(path) is not Access.KEY:
                raise ValueError(f"{path} is locked, but a public path includes it")
        if render_error is not None:
            if not (prefix + router.prefix).strip("/"):
                raise ValueError("a router that renders errors must have a prefix")
            declared = {**self._renderers, prefix + router.prefix: render_error}
            longest_first = sorted(declared.items(), key=lambda item: -len(item[0]))
            self._renderers = dict(longest_first)

    def _declare_path(self, path: str, access: Access) -> None:
        """With parameters in it: all paths that begin like it."""
        fixed, brace, _ = path.partition("{")
        if access is Access.KEY:
            self._locked.append(fixed)
        elif not brace:
            self._access[path] = access
        elif access is Access.PUBLIC and fixed.strip("/"):
            self._public_prefixes += (fixed,)
        else:
            raise ValueError(f"{path} cannot be {access.name}: its paths have no common prefix")

    def access(self, path: str) -> Access:
        """A public path with a slash behind it is public too: it is only redirected."""
        if path in self._access:
            return self._access[path]
        is_public = path.rstrip("/") in self._access or path.startswith(self._public_prefixes)
        return Access.PUBLIC if is_public else Access.KEY

    def renderer(self, path: str) -> RenderError:
        """By the longest declared prefix of whole segments."""
        for prefix, render_error in self._renderers.items():
            if path == prefix or path.startswith(f"{prefix}/"):
                return render_error
        return problem_json


def route_path(scope: Scope) -> str:
    """The path that routes are found by: without the root path that the server may add."""
    path: str = scope["path"]
    prefix = f"{scope.get('root_path', '')}/"
    return path[len(prefix) - 1 :] if path.startswith(prefix) else path
