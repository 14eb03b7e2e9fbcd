"""The stream and REST have the same page of news, also if one publisher is busy."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from api.encoding import to_json
from api.stream.channels import Channels
from api.stream.topics import RowCache, Topic
from backend.models.answer import Answer
from backend.models.news import Article, News
from backend.services.news.articles import age_order
from backend.services.news.view import NewsView
from tests.api.stream.applying import Applied
from tests.clocks import EPOCH, ManualClock
from tests.services.news.test_service import article

CHANNEL = Channels(cast("Any", SimpleNamespace()), cast("Any", None)).news()


def newest_first(rows: list[tuple[str, float]]) -> tuple[Article, ...]:
    articles = [
        article(number, source=publisher, published_at=EPOCH - timedelta(minutes=age))
        for number, (publisher, age) in enumerate(rows)
    ]
    return tuple(sorted(articles, key=age_order, reverse=True))


#: More articles than the page has room for, most of them of one publisher.
STORIES = st.lists(
    st.tuples(st.sampled_from(["Busy"] * 6 + ["A", "B"]), st.integers(0, 2_000)),
    min_size=60,
    max_size=90,
    unique_by=lambda story: story[1],
)


@given(rows=STORIES, counts=st.lists(st.integers(1, 90), min_size=2, max_size=6))
def test_a_client_of_the_stream_has_the_page_of_rest(
    rows: list[tuple[str, float]], counts: list[int]
) -> None:
    topic, client = Topic(CHANNEL, (), RowCache(), ManualClock()), Applied("news")
    for count in sorted(counts):  # articles are added
        news = News(newest_first(rows)[-count:])
        answer = Answer(news, "rss_coindesk", EPOCH, 1.0)
        for frame in topic.update(CHANNEL.content(answer, ())):
            client.take(json.loads(frame.text))
        assert client.data == json.loads(to_json(NewsView().pick(news).rows))
