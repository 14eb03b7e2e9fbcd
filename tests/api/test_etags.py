"""Entity tags: which ones are of a body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cache.body import etag_of, matches

DIGEST = "5f1c0a"


@pytest.mark.parametrize(
    ("condition", "is_known"),
    [
        (None, False),
        ("", False),
        ("*", True),
        (" * ", True),
        ('"5f1c0a"', True),
        ('W/"5f1c0a"', True),
        ('"5f1c0a-br"', True),
        ('"other", W/"5f1c0a-gzip"', True),
        ("5f1c0a", True),
        ('"*"', False),
        ('"other", *', False),
        ('"5f1c0a-lzma"', False),
        ('"5f1c0a-"', False),
        ('"x5f1c0a"', False),
        ('w/"5f1c0a"', False),
        ("W/", False),
        (",,,", False),
    ],
)
def test_if_none_match_matches_only_tags_of_the_body(condition: str | None, is_known: bool) -> None:
    assert matches(condition, DIGEST) is is_known


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_tag_is_found_in_any_list(before: str, after: str) -> None:
    assert matches(f"{before},{etag_of(DIGEST, 'br')},{after}", DIGEST)
