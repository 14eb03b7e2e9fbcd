"""Cleaning what publishers send."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.services.news.text import (
    article_id,
    article_key,
    clean_url,
    plain_text,
    shortened,
    title_key,
)


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://a.example/x?utm_source=rss&utm_medium=feed", "https://a.example/x"),
        ("https://a.example/x?id=7&UTM_Campaign=z#top", "https://a.example/x?id=7"),
        ("https://a.example/x?mtm_campaign=API&fbclid=1&gclid=2", "https://a.example/x"),
        ("https://a.example/x?auth_token=secret&page=2", "https://a.example/x?page=2"),
        (" https://a.example/x/ ", "https://a.example/x/"),
        ("https://a.example/x?q=a%20b&empty=", "https://a.example/x?q=a%20b&empty="),
        ("https://a.example/x?caf%E9&12345&p=1;q=2", "https://a.example/x?caf%E9&12345&p=1;q=2"),
        ("https://a.example/x?msclkid=1&v=AbC&yclid=2", "https://a.example/x?v=AbC"),
        ("https://a.example/#/news/1", "https://a.example/#/news/1"),
    ],
)
def test_tracking_parameters_and_fragments_are_removed(url: str, clean: str) -> None:
    assert clean_url(url) == clean


@pytest.mark.parametrize(
    "other",
    [
        "http://a.example/story",
        "https://www.a.example/story",
        "https://A.example/story/",
    ],
)
def test_spellings_of_one_address_are_one_article(other: str) -> None:
    assert article_key(other) == article_key("https://a.example/story")


def test_case_and_routes_tell_articles_apart() -> None:
    assert article_key("https://a.example/w?v=AbC") != article_key("https://a.example/w?v=aBc")
    assert article_key("https://a.example/#/1") != article_key("https://a.example/#/2")


def test_another_query_is_another_article() -> None:
    assert article_key("https://a.example/s?id=1") != article_key("https://a.example/s?id=2")


def test_an_id_is_the_same_in_every_process() -> None:
    assert article_id(article_key("https://a.example/story")) == "8bb120530304fed8"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One Two"),
        ("  padded \n\t title  ", "padded title"),
        ("A &amp; B", "A & B"),
        ("A &amp;amp; B", "A & B"),
        ("it&#8217;s &#x27;so&#x27;", "it’s 'so'"),
        ("<script>alert(1)</script>News<style>p{}</style>", "News"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;News", "News"),
        ('<img src="x" onerror="alert(1)">Picture', "Picture"),
        ("unclosed <b>tag", "unclosed tag"),
        ("</p></div>stray ends", "stray ends"),
        ("BTC < 50k > ETH", "BTC < 50k > ETH"),
        ("before<!-- hidden -->after", "before after"),
        ("Hackers inject <script> into a page", "Hackers inject script into a page"),
        ("Fake &lt;iframe&gt; ads drain wallets", "Fake iframe ads drain wallets"),
        ("On &amp;lt;style&amp;gt;, in pages", "On style, in pages"),
        ("The <SCRIPT> tag and <iframe/>", "The SCRIPT tag and iframe"),
        ("Ads by <iframe src='x'> in pages", "Ads by in pages"),
        ("How <!-- hides", "How hides"),
        ("An --> arrow", "An --> arrow"),
        ("<script>a<style>b</style></script>News <style> here", "News style here"),
        ("<<script> onload=x>", ""),
        ("<\x00b onload=x>A<\u200b/p>", "A"),
        ("R&D, AT&T and this&copy that &amp", "R&D, AT&T and this&copy that &amp"),
        (
            "rocket &amp;#xD83D;&amp;#xDE80; &#xD83D; &#0; &#x110000;",
            "rocket 🚀 \ufffd \ufffd \ufffd",
        ),
        ("escape \x1b[31m \x00 and\x85\u2028line", "escape [31m and line"),
        ("soft\xadhyphen \U000e0041tag", "softhyphen tag"),
        ("family 👨\u200d👩\u200d👧", "family 👨\u200d👩\u200d👧"),
        ("<b>Bitcoin</b>'s rally, <a href='x'>Ether</a>, and", "Bitcoin's rally, Ether, and"),
        ("P<E really", "P<E really"),
        ("three &amp;amp;amp;lt;b&amp;amp;amp;gt; times", "three times"),
        ("turned \u202eround\u200b", "turned round"),
        ("cut in a tag <a href=", "cut in a tag"),
        ("", ""),
    ],
)
def test_plain_text_has_only_the_displayed_words(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize("hidden", ["script", "style", "noscript"])
def test_a_script_that_is_cut_off_is_not_part_of_the_text(hidden: str) -> None:
    assert plain_text(f"News <{hidden}>{'code ' * 2_000}</{hidden}>") == "News"


@given(st.text(alphabet=st.sampled_from("<>/ abi=!-&;lt"), max_size=60))
def test_plain_text_contains_no_tag(html: str) -> None:
    assert not re.search(r"<[a-zA-Z/!?][^<>]*>", plain_text(html))


def test_no_nested_tag_is_left() -> None:
    assert plain_text("<" * 40 + "b>" * 40).count("<b") == 0


@pytest.mark.parametrize("part", ["<a ", "<a b='", "<!--", "<![", "<script>", "&lt;", "<" * 3])
def test_hostile_markup_takes_no_longer_than_its_length(part: str) -> None:
    assert len(plain_text(part * 30_000)) <= 5_000


@given(st.text(alphabet=st.sampled_from("ab <>/&;#\"'=!-scriptx\n"), max_size=80))
def test_no_markup_makes_the_text_longer_or_raises(html: str) -> None:
    assert len(plain_text(html)) <= len(html) + 1


@pytest.mark.parametrize(
    ("text", "longest", "short"),
    [
        ("short", 10, "short"),
        ("exactly ten", 11, "exactly ten"),
        ("one two three four", 12, "one two…"),
        ("one two, three", 10, "one two…"),
        ("a" * 50, 10, "a" * 9 + "…"),
    ],
)
def test_long_texts_are_cut_between_words(text: str, longest: int, short: str) -> None:
    assert shortened(text, longest) == short
    assert len(shortened(text, longest)) <= longest


def test_titles_that_differ_in_case_and_punctuation_are_one_story() -> None:
    assert title_key("Bitcoin  soars — again!") == title_key("BITCOIN SOARS: AGAIN")
    assert title_key("Bitcoin soars") != title_key("Bitcoin falls")
    assert title_key("Up +5%") != title_key("Up -5%")
    assert title_key("sell-off deepens") == title_key("Sell off deepens")
