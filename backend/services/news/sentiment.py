"""The sentiment of an article: from readers' votes if there are enough, else from its words."""

from functools import cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from backend.models.news import Report, Sentiment, SentimentMethod
from backend.services.news.data import data_lines

#: Fewer votes than this are ignored: new posts have none.
ENOUGH_VOTES = 5
#: VADER's own bound of a neutral score.
NEUTRAL_BELOW = 0.05


def sentiment_of(report: Report, text: str) -> tuple[Sentiment, float, SentimentMethod]:
    """The sentiment, its score from -1 to 1, and the method that found it."""
    votes = report.votes_for + report.votes_against
    if votes >= ENOUGH_VOTES:
        score = (report.votes_for - report.votes_against) / votes
        return _sentiment(score), round(score, 4), "votes"
    score = float(_analyzer().polarity_scores(text)["compound"])
    return _sentiment(score), score, "lexicon"


def _sentiment(score: float) -> Sentiment:
    if abs(score) < NEUTRAL_BELOW:
        return "neutral"
    return "positive" if score > 0 else "negative"


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    """VADER's lexicon and rules, with terms of the trade. Reads 500 kB, once."""
    analyzer = SentimentIntensityAnalyzer()
    analyzer.lexicon.update(crypto_terms())
    return analyzer


def crypto_terms() -> dict[str, float]:
    """Valences of words from the data file, from -4 to 4."""
    rows = (line.split("\t") for line in data_lines("crypto_lexicon.tsv"))
    return {word: float(valence) for word, valence in rows}
