"""Where keys are set, no shared cache may give an answer to somebody without one."""

import pytest

from tests.api.conftest import Serve

KEY = "one-gateway-key"
DATA = (
    "/api/market?limit=5",
    "/api/market/bitcoin",
    "/api/market/ohlc?symbol=BTC",
    "/api/news",
    "/api/sentiment?format=csv",
    "/api/gas",
)


@pytest.mark.parametrize("is_prepared", ["true", "false"])
async def test_with_keys_responses_are_private_and_vary_by_key(
    serve: Serve, is_prepared: str
) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY, PREPARED_ANSWERS=is_prepared)
    for path in DATA:
        fresh = await client.get(path, headers={"X-API-Key": KEY})
        again = await client.get(path, headers={"Authorization": f"Bearer {KEY}"})
        unchanged = {"X-API-Key": KEY, "If-None-Match": fresh.headers["etag"]}
        same = await client.get(path, headers=unchanged)
        assert [fresh.status_code, again.status_code, same.status_code] == [200, 200, 304]
        for answer in (fresh, again, same):
            assert answer.headers["cache-control"].startswith("private, max-age=")
            vary = {name.strip().lower() for name in answer.headers["vary"].split(",")}
            assert vary >= {"accept-encoding", "authorization", "x-api-key"}


async def test_vary_also_names_the_origin(serve: Serve) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY, CORS_ORIGINS="https://mine.example")
    headers = {"X-API-Key": KEY, "Origin": "https://mine.example"}
    vary = (await client.get("/api/gas", headers=headers)).headers["vary"]
    assert vary == "Accept-Encoding, Authorization, X-API-Key, Origin"


async def test_without_keys_responses_are_public(serve: Serve) -> None:
    client = await serve()
    for path in DATA:
        headers = (await client.get(path)).headers
        assert headers["cache-control"].startswith("public, max-age=")
        assert "authorization" not in headers["vary"].lower()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/gas", 401),
        ("/metrics", 401),
        ("/api/gas?x=1", 422),
        ("/api/market/nobody-knows-it", 404),
        ("/api/nowhere", 404),
    ],
)
async def test_errors_on_locked_paths_are_not_cached(serve: Serve, path: str, status: int) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY)
    headers = {} if status == 401 else {"X-API-Key": KEY}
    answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["cache-control"] == "no-store"


async def test_other_responses_on_locked_paths_are_not_cached(serve: Serve) -> None:
    client = await serve(GATEWAY_API_KEYS=KEY)
    for path in ("/api/status", "/api/status/explain", "/metrics"):
        answer = await client.get(path, headers={"X-API-Key": KEY})
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    stream = await client.head("/api/stream", headers={"X-API-Key": KEY})
    assert stream.headers["cache-control"] == "no-store"
