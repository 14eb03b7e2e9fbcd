"""A report becomes an article: cleaned, tagged, with a sentiment. Two articles become one story."""

from dataclasses import replace
from datetime import datetime
from functools import cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from backend.models.news import Article, Report, Sentiment, SentimentMethod
from backend.models.text import one_line
from backend.services.news.data import data_lines
from backend.services.news.tags import CoinTagger
from backend.services.news.text import (
    LONGEST_TEXT,
    article_id,
    article_key,
    clean_url,
    plain_text,
    shortened,
)

#: Fewer votes than this are ignored: new posts have none.
ENOUGH_VOTES = 5
#: VADER's own bound of a neutral score.
NEUTRAL_BELOW = 0.05


def article_of(report: Report, provider: str, tagger: CoinTagger) -> Article:
    """The clean article. Raises ValueError if nothing plausible is left."""
    title = shortened(plain_text(report.title), LONGEST_TEXT)
    summary = shortened(plain_text(report.summary or ""), LONGEST_TEXT)
    mood, score, method = sentiment_of(report, f"{title}. {summary}")
    url = clean_url(report.url)
    return Article(
        id=article_id(article_key(url)),
        title=title,
        url=url,
        source=one_line(report.source),
        provider=provider,
        published_at=report.published_at,
        summary=summary or None,
        image=report.image,
        symbols=tagger.tags(title, summary, report.symbols),
        sentiment=mood,
        sentiment_score=score,
        sentiment_method=method,
    )


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


def updated(before: Article, again: Article) -> Article:
    """The same address again: an edit by its own provider, or an addition by another one."""
    if again.provider != before.provider:
        return joined(before, again)
    symbols = tuple(dict.fromkeys(again.symbols + before.symbols))
    edited = replace(again, published_at=before.published_at, symbols=symbols)
    return _with_sentiment(edited, before) if before.sentiment_method == "votes" else edited


def joined(before: Article, again: Article) -> Article:
    """One story from two providers: the first one's article, with what the other has besides."""
    complete = replace(
        before,
        summary=before.summary or again.summary,
        image=before.image or again.image,
        symbols=tuple(dict.fromkeys(before.symbols + again.symbols)),
    )
    return _with_sentiment(complete, again) if again.sentiment_method == "votes" else complete


def _with_sentiment(article: Article, of: Article) -> Article:
    return replace(
        article,
        sentiment=of.sentiment,
        sentiment_score=of.sentiment_score,
        sentiment_method=of.sentiment_method,
    )


def age_order(article: Article) -> tuple[datetime, str]:
    return article.published_at, article.id
