"""What the gateway's own page asks for is not counted as its reader's, within limits of its own."""

import re
from collections.abc import Mapping

import httpx
import pytest

from api.edge.page_limits import FILES
from tests.api.conftest import Serve

FROM_PAGE = {"Sec-Fetch-Site": "same-origin"}


def left(answer: httpx.Response) -> int:
    found = re.search(r"r=(\d+)", answer.headers["RateLimit"])
    assert found is not None
    return int(found[1])


async def asked(
    client: httpx.AsyncClient, path: str, count: int, headers: Mapping[str, str]
) -> list[int]:
    return [(await client.get(path, headers=headers)).status_code for _ in range(count)]


async def test_the_dashboard_opens_whatever_the_client_has_used(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="3/minute")
    page = await client.get("/")
    for path in re.findall(r'(?:src|href)="(assets/[^"]+)"', page.text):
        file = await client.get(f"/{path}")
        assert file.status_code == 200
        assert "RateLimit" not in file.headers
    assert await asked(client, "/api/gas", 4, {}) == [200, 200, 200, 429]
    assert (await client.get("/")).status_code == 200


async def test_the_dashboard_s_files_have_a_limit_of_their_own(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="3/minute")
    codes = await asked(client, "/assets/dashboard/x/app.js", FILES.limit + 1, {})
    assert codes == [404] * FILES.limit + [429]
    refusal = await client.get("/")
    assert refusal.status_code == 429
    assert f"q={FILES.limit};w=60" in refusal.json()["detail"]
    assert (await client.get("/api/gas")).status_code == 200


@pytest.mark.parametrize("prepared", ["true", "false"])
async def test_the_page_s_data_count_for_a_tenth_besides_and_then_for_the_client(
    serve: Serve, prepared: str
) -> None:
    """Whoever sends the header has 22 units a minute in place of 20: no more."""
    client = await serve(CLIENT_RATE_LIMIT="20/minute", PREPARED_ANSWERS=prepared)
    assert left(await client.get("/api/gas")) == 19
    assert await asked(client, "/api/gas", 2, FROM_PAGE) == [200, 200]
    assert left(await client.get("/api/gas")) == 18
    assert await asked(client, "/api/gas", 19, FROM_PAGE) == [200] * 18 + [429]
    assert await asked(client, "/api/gas", 1, {}) == [429]


async def test_further_units_that_the_share_has_no_room_for_count_for_the_client(
    serve: Serve,
) -> None:
    path = "/api/market/ohlc?symbol=BTC&interval=1h&limit=1000"
    plain, page = [await serve(CLIENT_RATE_LIMIT="20/minute") for _ in range(2)]
    assert (await plain.get(path)).status_code == 200
    assert (await page.get(path, headers=FROM_PAGE)).status_code == 200
    used = 19 - left(await plain.get("/api/gas"))
    assert used > 3, "the request, and more than the share has left"
    assert 19 - left(await page.get("/api/gas")) == used - 1


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "SAME-ORIGIN", ""])
async def test_other_requests_of_browsers_count_for_the_client(serve: Serve, site: str) -> None:
    client = await serve(CLIENT_RATE_LIMIT="20/minute")
    await asked(client, "/api/gas", 5, {"Sec-Fetch-Site": site})
    assert left(await client.get("/api/gas")) == 14


async def test_a_tenth_of_less_than_ten_is_nothing(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="9/minute")
    assert await asked(client, "/api/gas", 10, FROM_PAGE) == [200] * 9 + [429]


async def test_without_a_limit_of_clients_pages_have_none(serve: Serve) -> None:
    client = await serve(CLIENT_RATE_LIMIT="")
    codes = await asked(client, "/assets/dashboard/x/app.js", FILES.limit + 10, {})
    assert set(codes) == {404}
    answer = await client.get("/api/gas", headers=FROM_PAGE)
    assert "RateLimit" not in answer.headers


async def test_a_page_s_file_needs_no_key_and_other_paths_below_it_do(serve: Serve) -> None:
    client = await serve(GATEWAY_API_KEYS="gw-0123456789abcdef")
    assert (await client.get("/")).status_code == 200
    assert (await client.get("/assets/dashboard/x/app.js")).status_code == 404
    assert (await client.get("/assets", headers=FROM_PAGE)).status_code == 401
    assert (await client.get("/api/gas", headers=FROM_PAGE)).status_code == 401
