"""The paths of a vendor's API that are passed through, and how a request becomes a question.

Only what is listed goes out: fixed paths, fixed names of parameters. Equal questions must become
equal queries, else they miss the cache and use up budgets; so each parameter has one spelling.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from api.facades.pass_through import NotInDialect
from api.routes.schemas import UNCHANGED
from backend.errors import InvalidParameter
from backend.models.pass_through import PassThroughQuery

#: Characters of a parameter and of a segment of a path.
LONGEST_VALUE, LONGEST_SEGMENT = 8_192, 128
#: No segment has them: `%` would be decoded by a server that decodes twice.
_SEPARATORS = frozenset("/\\%")
DESCRIPTION = "The vendor's own answer, through the cache: its fields, and its refusals."
#: Gives a value's only spelling. Raises ValueError, whose text says what is allowed.
Spelling = Callable[[str], str]
Parameters = dict[str, str]
Refine = Callable[[PassThroughQuery, Parameters], PassThroughQuery]
Endpoint = Callable[[Request, "VendorPath"], Any]


class MissingParameter(InvalidParameter):
    """A parameter that the vendor requires was not sent, or was empty."""

    def __init__(self, parameter: str) -> None:
        super().__init__(parameter, "is required")


class RepeatedParameter(InvalidParameter):
    def __init__(self, parameter: str) -> None:
        super().__init__(parameter, "may be given once")


def unchanged(query: PassThroughQuery, _parameters: Parameters) -> PassThroughQuery:
    return query


def as_sent(text: str) -> str:
    return text


def lower(text: str) -> str:
    return text.strip().lower()


def lower_list(text: str) -> str:
    """Of a comma list: each name once, in lower case, in order."""
    return ",".join(sorted({lower(one) for one in text.split(",")} - {""}))


def boolean(text: str) -> str:
    """`true` or `false`: clients of Python send `True`."""
    spelt = lower(text)
    if spelt not in ("true", "false"):
        raise ValueError("must be true or false")
    return spelt


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query string, or a segment of the path: its spelling, and what the OpenAPI
    document says of it."""

    spelling: Spelling
    description: str
    example: str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class VendorPath:
    """`template` is the path below the root of the vendor's API, with `{names}` of segments.

    `parameters` are its segments, and what is passed on of the query string; all else is left out.
    `refine` may change the query by its parameters: its freshness, its weight.
    """

    template: str
    summary: str
    ttl_s: float
    max_stale_s: float
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    weight: int = 1
    refine: Refine = unchanged

    def query(self, vendor: str, request: Request) -> PassThroughQuery:
        """The question of a request. Raises InvalidParameter, NotInDialect."""
        segments = request.path_params
        known = {name: one for name, one in self.parameters.items() if name not in segments}
        return self.query_of(vendor, segments, read_parameters(request.query_params, known))

    def query_of(
        self, vendor: str, segments: Mapping[str, str], parameters: Parameters
    ) -> PassThroughQuery:
        """Raises NotInDialect for a segment that would leave the path."""
        spelt = {
            name: segment(self.parameters[name].spelling(text)) for name, text in segments.items()
        }
        query = PassThroughQuery(
            vendor,
            self.template.format_map(spelt),
            tuple(sorted(parameters.items())),
            weight=self.weight,
            ttl_s=self.ttl_s,
            max_stale_s=self.max_stale_s,
        )
        return self.refine(query, parameters)


def segment(text: str) -> str:
    """One segment of a path, percent-encoded. Raises NotInDialect for one that could lead to
    another path, even at a server that decodes it twice, or ignores what is behind a semicolon."""
    is_here = text.partition(";")[0] in ("", ".", "..")
    if is_here or len(text) > LONGEST_SEGMENT or not text.isprintable() or set(text) & _SEPARATORS:
        raise NotInDialect
    return quote(text, safe="")


def read_parameters(query: QueryParams, known: Mapping[str, Parameter]) -> Parameters:
    """The values of the known parameters; one that is spelt as nothing counts as not sent.

    Raises InvalidParameter for one that is missing, repeated, too long, or malformed.
    """
    found: Parameters = {}
    for name, parameter in known.items():
        values = query.getlist(name)
        if len(values) > 1:
            raise RepeatedParameter(name)
        spelt = _spelt(name, parameter, values[0]) if values and values[0].strip() else ""
        if spelt:
            found[name] = spelt
        elif parameter.is_required:
            raise MissingParameter(name)
    return found


def _spelt(name: str, parameter: Parameter, value: str) -> str:
    if len(value) > LONGEST_VALUE or not value.isprintable():
        raise InvalidParameter(name, f"has at most {LONGEST_VALUE} printable characters")
    try:
        return parameter.spelling(value)
    except ValueError as error:
        raise InvalidParameter(name, str(error)) from None


def add_paths(
    router: APIRouter, paths: Sequence[VendorPath], endpoint: Endpoint, **options: Any
) -> None:
    """A route for each path, and one with a trailing slash, which some clients send."""
    for path in paths:
        add_path(router, path, endpoint, **options)


def add_path(router: APIRouter, path: VendorPath, endpoint: Endpoint, **options: Any) -> None:
    async def call(request: Request) -> Response:
        response: Response = await endpoint(request, path)
        return response

    router.add_api_route(
        path.template,
        call,
        name=path.template,
        summary=path.summary,
        description=DESCRIPTION,
        openapi_extra=_documented(path),
        responses={**UNCHANGED, **options.pop("responses", {})},
        **options,
    )
    router.add_api_route(path.template + "/", call, include_in_schema=False)


def _documented(path: VendorPath) -> dict[str, Any]:
    """The parameters in the OpenAPI document; FastAPI knows none, as they are read by name."""
    return {"parameters": [_described(path, *one) for one in path.parameters.items()]}


def _described(path: VendorPath, name: str, parameter: Parameter) -> dict[str, Any]:
    is_segment = f"{{{name}}}" in path.template
    return {
        "name": name,
        "in": "path" if is_segment else "query",
        "required": is_segment or parameter.is_required,
        "description": parameter.description,
        "schema": {"type": "string", "examples": [parameter.example]},
    }
