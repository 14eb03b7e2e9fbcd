"""Segments of a vendor's path that clients choose."""

import pytest

from api.facades.pass_through import NotInDialect
from api.facades.vendor_paths import LONGEST_SEGMENT, segment


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("bitcoin", "bitcoin"),
        ("0x-._~", "0x-._~"),
        ("0x2::sui::SUI", "0x2%3A%3Asui%3A%3ASUI"),
        ("...", "..."),
        ("a;b", "a%3Bb"),
        ("\u20bfcoin", "%E2%82%BFcoin"),
        ("a?b#c", "a%3Fb%23c"),
    ],
)
def test_a_segment_is_encoded(text: str, sent: str) -> None:
    assert segment(text) == sent


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "..;a", ".;", ";a", "a/b", "/", "..\\b", "%2e%2e", "a%2fb", "%252e"),
        *("a\nb", "a\x00", "a\u202eb", "a" * (LONGEST_SEGMENT + 1)),
    ],
)
def test_a_segment_that_could_lead_elsewhere_is_no_path(text: str) -> None:
    with pytest.raises(NotInDialect):
        segment(text)
