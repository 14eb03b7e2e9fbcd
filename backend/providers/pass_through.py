"""The operation that passes a question through to its vendor, and the vendor's answer back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from backend.errors import MalformedResponse
from backend.models.pass_through import PassThroughQuery, VendorAnswer
from backend.providers.adapter import Call, Context, Operation, VerbatimBody


def pass_through(vendor: str, is_error: Callable[[Any], bool]) -> Operation:
    """`is_error` is True for a document that states a failure although its HTTP status is 200."""

    def serves(query: PassThroughQuery, _context: Context) -> bool:
        return query.vendor == vendor

    return Operation("pass_through", PassThroughQuery, _build, partial(_parse, is_error), serves)


def _build(query: PassThroughQuery, _context: Context) -> tuple[Call, ...]:
    call = Call(
        query.path,
        query.params,
        weight=query.weight,
        max_bytes=query.max_bytes,
        decode="verbatim",
    )
    return (call,)


def _parse(
    is_error: Callable[[Any], bool],
    _query: PassThroughQuery,
    payloads: Sequence[VerbatimBody],
    _context: Context,
) -> VendorAnswer:
    """Nothing is checked but that it is JSON: it is the vendor's word."""
    (answer,) = payloads
    if answer.status == 200 and is_error(answer.document):
        raise MalformedResponse("an error with the status 200")
    return VendorAnswer(answer.status, answer.body)
