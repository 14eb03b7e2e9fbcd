"""How responses are counted."""

import pytest
from starlette.types import Scope

from api.edge.request_counts import labels_of, template_of


@pytest.mark.parametrize("path", ["/", "/wp-login.php", "/api/market/x/y"])
def test_all_paths_without_a_route_have_one_label(path: str) -> None:
    scope: Scope = {"type": "http", "path": path}
    assert labels_of(template_of(scope), 404, []) == ("unmatched", 404, "")


@pytest.mark.parametrize(
    ("value", "label"), [(b"hit", "hit"), (b"stale", "stale"), (b"HIT from far away", "")]
)
def test_x_cache_is_a_label_if_its_value_is_one_of_ours(value: bytes, label: str) -> None:
    headers = [(b"age", b"1"), (b"x-cache", value)]
    assert labels_of("unmatched", 200, headers) == ("unmatched", 200, label)
