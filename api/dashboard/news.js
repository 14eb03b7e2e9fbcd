// News: newest first, each with its sentiment, filtered in the page.

import { arrange, byId, el, setAttribute, setText } from "./dom.js";
import { ageOf } from "./state.js";
import { onFrame } from "./render.js";
import { setTip } from "./tip.js";

// Articles that are shown at first where the panels are below each other, as in layout.css.
const FEW = 8;
const MARKS = { positive: "▲", neutral: "■", negative: "▼" };

export class News {
  #items = new Map();
  #query = "";
  #sentiment = "";

  constructor(topic) {
    this.topic = topic;
    byId("news-filter").addEventListener("input", (event) => {
      this.#query = event.target.value.trim().toLowerCase();
      this.#showCurlTip();
      this.draw();
    });
    byId("news-more").addEventListener("click", () => {
      byId("news").classList.add("is-whole");
      byId("news-more").hidden = true;
    });
    for (const button of document.querySelectorAll("#news-sentiments button")) {
      button.addEventListener("click", () => this.#choose(button.dataset.sentiment));
    }
  }

  draw() {
    onFrame("news", () => this.#draw());
  }

  // The query of the request whose answer has the articles that are shown; the gateway cannot filter
  // by the words of the text field.
  get query() {
    return `limit=50${this.#sentiment ? `&sentiment=${this.#sentiment}` : ""}`;
  }

  #showCurlTip() {
    const button = document.querySelector("[data-curl=news]");
    setAttribute(button, "title", this.#query ? "" : "Copy as curl");
    setTip(button, this.#query && "Copy as curl: the gateway cannot filter by words, so its answer has all articles");
  }

  #choose(sentiment) {
    this.#sentiment = sentiment;
    for (const button of document.querySelectorAll("#news-sentiments button")) {
      setAttribute(button, "aria-pressed", String(button.dataset.sentiment === sentiment));
    }
    this.draw();
  }

  #draw() {
    const articles = this.topic.data ?? [];
    const found = articles.filter((article) => this.#matches(article));
    const known = new Set(articles.map((article) => article.id));
    for (const id of this.#items.keys()) if (!known.has(id)) this.#items.delete(id);
    arrange(byId("news-list"), found.map((article) => this.#item(article)));
    const isWhole = byId("news").classList.contains("is-whole");
    byId("news-more").hidden = isWhole || found.length <= FEW;
    setText(byId("news-more"), `Show ${found.length} articles`);
    const empty = byId("news-empty");
    empty.hidden = found.length > 0;
    byId("news").classList.toggle("is-empty", !found.length && (articles.length > 0 || Boolean(this.topic.error)));
    const { error, expiredSince } = this.topic;
    const waiting = expiredSince ? error : error ? `No news: ${error}` : "Waiting for news …";
    setText(empty, articles.length ? "No article matches." : waiting);
    setText(byId("news-count"), articles.length ? `${found.length} of ${articles.length} articles` : "");
  }

  #matches({ title, source, symbols, sentiment }) {
    if (this.#sentiment && sentiment !== this.#sentiment) return false;
    const texts = [title, source, ...symbols];
    return !this.#query || texts.some((text) => text?.toLowerCase().includes(this.#query));
  }

  // The node of an article. It is created again only if the article changed.
  #item(article) {
    let item = this.#items.get(article.id);
    if (!item || JSON.stringify(item.article) !== JSON.stringify(article)) {
      item = { article, ...createItem(article) };
      this.#items.set(article.id, item);
    }
    setText(item.age, `${ageOf(article.published_at)} ago`);
    return item.node;
  }
}

function createItem(article) {
  const sentiment = article.sentiment ?? "neutral";
  const score = article.sentiment_score === null ? "" : ` ${article.sentiment_score.toFixed(2)}`;
  const title = `${sentiment}${score}, by ${article.sentiment_method ?? "unknown method"}`;
  const mark = el("span", { class: "mark", "data-sentiment": sentiment, title }, MARKS[sentiment] ?? "■");
  const age = el("time", { datetime: article.published_at });
  const about = el("p", { class: "about" }, el("span", { class: "sr" }, `${sentiment}. `));
  about.append(`${article.source} · `, age, ...article.symbols.slice(0, 4).map(chip));
  mark.setAttribute("aria-hidden", "true");
  return { node: el("li", {}, mark, el("div", {}, headline(article), about)), age };
}

const chip = (symbol) => el("span", { class: "chip" }, symbol);

// A link only for an http(s) URL: it comes from outside.
function headline({ title, url, summary }) {
  const isWeb = /^https?:\/\//i.test(url ?? "");
  const attributes = { href: url, target: "_blank", rel: "noopener noreferrer", title: summary || null };
  return isWeb ? el("a", attributes, title) : el("span", { class: "headline" }, title);
}
