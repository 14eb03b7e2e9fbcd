"""Which path a line of the access log shows; the whole log is in tests/life/test_access_log.py."""

import pytest

from api.edge.access_log import MAX_TARGET, shown_target


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (b"/api/market", "/api/market"),
        (b"/api/market?limit=1&offset=2", "/api/market?limit=1&offset=2"),
        (b"/api/market?", "/api/market"),
        (b"/coingecko/api/v3/ping?x_cg_demo_api_key=hunter22", "/coingecko/api/v3/ping"),
        (b"/a?X_CG_PRO_API_KEY=hunter22&ids=b", "/a?ids=b"),
        (b"/a?%61pikey=hunter22&ids=b&api%4bey=hunter22", "/a?ids=b"),
        (b"/a?token=hunter22&signature=hunter22&password=hunter22&q=btc", "/a?q=btc"),
        (b"/a?access_token=hunter22", "/a"),
        (b"/a?q=\xff\x00", "/a?q=ÿ\x00"),
        (b"/" + b"a" * 5_000, "/" + "a" * (MAX_TARGET - 1)),
    ],
)
def test_a_target_is_shown_without_keys(target: bytes, shown: str) -> None:
    assert shown_target(target) == shown
    assert "hunter" not in shown_target(target)
