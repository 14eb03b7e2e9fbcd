"""A path that the vendor's host does not have: its questions fail, and nobody else's."""

from tests.api.conftest import Serve
from tests.world.messages import Reply, Request, json_reply
from tests.world.server import World


class WithoutTrades(World):
    """A host of Binance that has fewer paths than the documentation."""

    def _reply(self, name: str, request: Request, fault: str) -> Reply:
        if request.path == "/api/v3/trades":
            return json_reply({"code": -1000, "msg": "No such path."}, 404)
        return super()._reply(name, request, fault)


async def test_questions_of_a_missing_path_do_not_stop_the_vendor(serve: Serve) -> None:
    async with WithoutTrades() as world:
        client = await serve(BINANCE_BASE_URL=world.url("binance"))
        for limit in range(1, 9):
            path = f"/binance/api/v3/trades?symbol=BTCUSDT&limit={limit}"
            assert (await client.get(path)).status_code == 404
        answer = await client.get("/binance/api/v3/ticker/price?symbol=BTCUSDT")
        assert (answer.status_code, answer.json()["symbol"]) == (200, "BTCUSDT")
