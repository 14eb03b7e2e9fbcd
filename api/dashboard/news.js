// News: newest first, each with the mood of its words; filtered here.

import { arrange, byId, el, setAttribute, setText } from "./dom.js";
import { ageOf } from "./state.js";
import { onFrame } from "./frame.js";

const MARKS = { positive: "▲", neutral: "■", negative: "▼" };

export class News {
  #items = new Map();
  #query = "";
  #mood = "";

  constructor(topic) {
    this.topic = topic;
    byId("news-filter").addEventListener("input", (event) => {
      this.#query = event.target.value.trim().toLowerCase();
      this.draw();
    });
    for (const button of document.querySelectorAll("#news-moods button")) {
      button.addEventListener("click", () => this.#choose(button.dataset.mood));
    }
  }

  draw() {
    onFrame("news", () => this.#draw());
  }

  #choose(mood) {
    this.#mood = mood;
    for (const button of document.querySelectorAll("#news-moods button")) {
      setAttribute(button, "aria-pressed", String(button.dataset.mood === mood));
    }
    this.draw();
  }

  #draw() {
    const articles = this.topic.data ?? [];
    const found = articles.filter((article) => this.#matches(article));
    const known = new Set(articles.map((article) => article.id));
    for (const id of this.#items.keys()) if (!known.has(id)) this.#items.delete(id);
    arrange(byId("news-list"), found.map((article) => this.#item(article)));
    const empty = byId("news-empty");
    empty.hidden = found.length > 0;
    const waiting = this.topic.error ? `No news: ${this.topic.error}` : "Waiting for news …";
    setText(empty, articles.length ? "No article matches." : waiting);
    setText(byId("news-count"), articles.length ? `${found.length} of ${articles.length} articles` : "");
  }

  #matches({ title, source, symbols, sentiment }) {
    if (this.#mood && sentiment !== this.#mood) return false;
    const texts = [title, source, ...symbols];
    return !this.#query || texts.some((text) => text?.toLowerCase().includes(this.#query));
  }

  // Kept while the article is the same; its age is written anew each time.
  #item(article) {
    let held = this.#items.get(article.id);
    if (!held || JSON.stringify(held.article) !== JSON.stringify(article)) {
      held = { article, ...made(article) };
      this.#items.set(article.id, held);
    }
    setText(held.age, `${ageOf(article.published_at)} ago`);
    return held.node;
  }
}

function made(article) {
  const mood = article.sentiment ?? "neutral";
  const score = article.sentiment_score === null ? "" : ` ${article.sentiment_score.toFixed(2)}`;
  const title = `${mood}${score}, by ${article.sentiment_method ?? "nobody"}`;
  const mark = el("span", { class: "mark", "data-mood": mood, title }, MARKS[mood] ?? "■");
  const age = el("time", { datetime: article.published_at });
  const about = el("p", { class: "about" }, el("span", { class: "sr" }, `${mood}. `));
  about.append(`${article.source} · `, age, ...article.symbols.slice(0, 4).map(chip));
  mark.setAttribute("aria-hidden", "true");
  return { node: el("li", {}, mark, el("div", {}, headline(article), about)), age };
}

const chip = (symbol) => el("span", { class: "chip" }, symbol);

// A link only where it leads to the web: an address comes from strangers, too.
function headline({ title, url, summary }) {
  const isWeb = /^https?:\/\//i.test(url ?? "");
  const attributes = { href: url, target: "_blank", rel: "noopener noreferrer", title: summary || null };
  return isWeb ? el("a", attributes, title) : el("span", { class: "headline" }, title);
}
