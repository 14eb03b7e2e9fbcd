"""Reports and articles: what no text, address or id of theirs may hold."""

from dataclasses import asdict
from typing import Any

import pytest
from pydantic import ValidationError

from backend.models.news import Article, Report
from tests.clocks import EPOCH

REPORT: dict[str, Any] = {
    "title": "Bitcoin soars",
    "url": "https://a.example/1",
    "source": "Publisher",
    "published_at": EPOCH,
}
ARTICLE = asdict(Report(**REPORT)) | {
    "id": "0123456789abcdef",
    "provider": "one",
    "summary": "It does.",
    "image": "https://a.example/1.png",
    "symbols": ("BTC",),
    "sentiment": "neutral",
    "sentiment_score": 0.0,
    "sentiment_method": "lexicon",
}
del ARTICLE["votes_for"], ARTICLE["votes_against"]
BAD = ["\x00", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\ufeff", "\ud83d"]


@pytest.mark.parametrize("bad", BAD, ids=ascii)
@pytest.mark.parametrize("name", ["url", "image"])
def test_an_address_with_an_undisplayable_character_is_refused(name: str, bad: str) -> None:
    for kind, given in ((Report, REPORT), (Article, ARTICLE)):
        with pytest.raises(ValidationError):
            kind(**(given | {name: f"https://a.example/{bad}x"}))


@pytest.mark.parametrize("bad", [*BAD, "\n", "\r", "\u2028"], ids=ascii)
@pytest.mark.parametrize("name", ["title", "summary", "source"])
def test_a_text_of_an_article_is_one_displayable_line(name: str, bad: str) -> None:
    with pytest.raises(ValidationError):
        Article(**(ARTICLE | {name: f"Some{bad} text"}))


@pytest.mark.parametrize("bad", [*BAD, "\n", "\r", "\u2028"], ids=ascii)
def test_a_symbol_of_an_article_is_displayable(bad: str) -> None:
    with pytest.raises(ValidationError):
        Article(**(ARTICLE | {"symbols": ("BTC", f"E{bad}TH")}))


def test_joiners_and_every_script_are_displayable() -> None:
    assert Article(**(ARTICLE | {"title": "می\u200cخواهم 👨\u200d👩 ビットコイン"}))
