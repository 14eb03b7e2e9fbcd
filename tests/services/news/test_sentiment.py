"""The mood of an article, and how it was found."""

import pytest

from backend.models.news import Report
from backend.services.news.articles import crypto_terms, sentiment_of
from tests.clocks import EPOCH


def report(votes_for: int = 0, votes_against: int = 0) -> Report:
    return Report(
        title="A title",
        url="https://a.example/x",
        source="A",
        published_at=EPOCH,
        votes_for=votes_for,
        votes_against=votes_against,
    )


@pytest.mark.parametrize(
    ("votes_for", "votes_against", "expected"),
    [
        (5, 0, ("positive", 1.0, "votes")),
        (0, 9, ("negative", -1.0, "votes")),
        (5, 5, ("neutral", 0.0, "votes")),
        (3, 2, ("positive", 0.2, "votes")),
        (51, 49, ("neutral", 0.02, "votes")),
    ],
)
def test_enough_votes_decide_the_sentiment(
    votes_for: int, votes_against: int, expected: tuple[str, float, str]
) -> None:
    assert sentiment_of(report(votes_for, votes_against), "Exchange hacked") == expected


@pytest.mark.parametrize("votes", [0, 4])
def test_with_too_few_votes_the_words_decide(votes: int) -> None:
    mood, score, method = sentiment_of(report(votes), "Exchange hacked, millions stolen")
    assert (mood, method) == ("negative", "lexicon")
    assert -1 <= score < -0.05


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("Bullish breakout as bitcoin surges", "positive"),
        ("Token crashes after exploit drained the pool", "negative"),
        ("The meeting is on Tuesday", "neutral"),
        ("Not bullish at all", "negative"),
        ("", "neutral"),
    ],
)
def test_words_of_the_trade_are_known(text: str, mood: str) -> None:
    assert sentiment_of(report(), text)[0] == mood


def test_the_terms_are_single_lower_case_words_within_vaders_range() -> None:
    terms = crypto_terms()
    assert len(terms) > 70
    assert all(word == word.lower() and " " not in word for word in terms)
    assert all(-4 <= valence <= 4 for valence in terms.values())


@pytest.mark.parametrize(
    ("text", "mood"),
    [
        ("Bitcoin falls below $80,000", "negative"),
        ("Ether drops 5% in an hour", "negative"),
        ("Solana tanks as traders retreat", "negative"),
        ("Exchange sued, executives charged", "negative"),
        ("Bitcoin rises above $90,000", "positive"),
        ("Bitcoin hits all-time high", "positive"),
        ("Market recovers from lows", "positive"),
        ("United States sets interest rates", "neutral"),
        ("Grayscale Bitcoin Trust shares", "neutral"),
    ],
)
def test_plain_headlines_get_the_sentiment_of_a_reader(text: str, mood: str) -> None:
    assert sentiment_of(report(), text)[0] == mood
