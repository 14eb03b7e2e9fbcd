"""Views: encoded once a refresh, and never more than their bound."""

import threading
from functools import partial
from typing import Any

import pytest
from fastapi import Request

from api.cache.formats import json_envelope
from api.cache.response_cache import MAX_BYTES, VIEW_BYTES, ResponseCache
from api.edge.client_limits import ACCOUNT, ClientAccount, ClientLimits
from api.edge.path_policies import PathPolicies
from api.routes.responder import Responder
from backend.environment.forms import CallLimit
from backend.errors import ClientLimitReached
from backend.models.answer import Answer
from backend.services.page import Page
from tests.clocks import EPOCH, ManualClock


def request() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": []})


def empty_cache() -> ResponseCache:
    return ResponseCache(lambda headers, _origin: headers)


def uncached_responder() -> Responder:
    return Responder(empty_cache(), PathPolicies())


def answer(refresh_id: int = 1, age_s: float = 0.0, ttl_left_s: float = 60.0) -> Answer[Any]:
    return Answer(
        (),
        "a",
        EPOCH,
        1.0,
        refresh_id=refresh_id,
        expires_at=EPOCH,
        age_s=age_s,
        ttl_left_s=ttl_left_s,
    )


async def test_a_view_is_encoded_once_a_refresh() -> None:
    responder, made = uncached_responder(), list[int]()

    def page() -> Page[Any]:
        made.append(1)
        return Page((), 0)

    for refresh_id in (1, 1, 2, 2):
        await responder.respond(request(), answer(refresh_id), "view", page, json_envelope)
    assert len(made) == 2


async def test_max_age_is_the_whole_lifetime_beside_age() -> None:
    response = await uncached_responder().respond(
        request(),
        answer(age_s=20.0, ttl_left_s=40.0),
        "view",
        lambda: Page((), 0),
        json_envelope,
    )
    assert (response.headers["age"], response.headers["cache-control"]) == (
        "20",
        "public, max-age=60",
    )


async def ask(responder: Responder, account: ClientAccount, view: str, rows: int) -> None:
    sent = request()
    sent.scope["state"] = {ACCOUNT: account}
    table = tuple(range(rows))
    await responder.respond(sent, answer(), view, lambda: Page(table, rows), json_envelope)


async def test_a_long_table_is_charged_once_before_it_is_encoded(clock: ManualClock) -> None:
    account = ClientAccount(limits := ClientLimits([CallLimit(30, 60.0)], clock), "a")
    responder = Responder(cache := empty_cache(), PathPolicies())
    for _ in range(3):
        await ask(responder, account, "long", 10_000)
    await ask(responder, account, "short", 499)
    assert limits.hit("a", 0).left == 10
    with pytest.raises(ClientLimitReached):
        await ask(responder, account, "another long", 10_000)
    assert repr(cache).startswith("<ResponseCache 2 views")


async def test_a_long_table_is_encoded_in_a_thread() -> None:
    threads = []

    def encode(_answer: Answer[Any], page: Page[Any]) -> tuple[bytes, str]:
        threads.append(threading.current_thread() is threading.main_thread())
        return b"x", "text/plain"

    for rows in (10, 10_000):
        page = partial(Page, tuple(range(rows)), rows)
        await uncached_responder().respond(request(), answer(), "a", page, encode)
    assert threads == [True, False]


async def test_many_views_with_long_names_stay_within_the_bound() -> None:
    responder = Responder(cache := empty_cache(), PathPolicies())
    for number in range(2 * MAX_BYTES // VIEW_BYTES):
        view = ("market", number, ("long name" * 5,))
        await responder.respond(
            request(), answer(), view, lambda: Page((), 0), lambda _a, _p: (b"x", "a/b")
        )
    assert cache._bytes <= MAX_BYTES
    assert len(cache._views) <= MAX_BYTES // VIEW_BYTES
    assert all(len(key) == 16 for key in cache._views)


async def test_a_slow_page_is_made_in_a_thread() -> None:
    threads: list[str] = []

    def page() -> Page[Any]:
        threads.append(threading.current_thread().name)
        return Page((), 0)

    for is_slow in (False, True):
        responder = uncached_responder()
        await responder.respond(request(), answer(), "view", page, json_envelope, is_slow=is_slow)
    assert threads[0] == threading.main_thread().name != threads[1]
