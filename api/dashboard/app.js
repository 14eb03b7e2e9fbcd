// The dashboard: what each frame of the stream means, and who draws it.

import { Access, Locked, read } from "./access.js";
import { coinKey, Topic } from "./applying.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { offerCurl } from "./curl.js";
import { byId, setAttribute, setText } from "./dom.js";
import { words } from "./format.js";
import { eachSecond, onFrame } from "./frame.js";
import { showGas } from "./gas.js";
import { Market } from "./market.js";
import { Mood } from "./mood.js";
import { News } from "./news.js";
import { showCategories, showProviders } from "./providers.js";
import * as state from "./state.js";

const CHANNELS = ["market", "ohlc", "status", "gas", "sentiment", "news"];
const MOODS = "api/sentiment?days=30";
const HISTORY_PAUSE_MS = 15_000;

const topics = Object.fromEntries(CHANNELS.map((name) => [name, new Topic(name)]));
const access = new Access(() => start());
const connection = new Connection(access, hear, turn);
const market = new Market(topics.market, choose);
const chart = new Chart(topics.ohlc);
const mood = new Mood(topics.sentiment);
const news = new News(topics.news);
let connected = { name: "connecting" };
let chosen = null;
let interval = "1h";
let historyDay = null;
let historyDue = 0;

const drawers = {
  market: drawMarket,
  ohlc: (rows, isWhole) => chart.draw(rows, isWhole),
  status: drawStatus,
  gas: () => onFrame("gas", () => showGas(topics.gas)),
  sentiment: drawMood,
  news: () => news.draw(),
};

function hear(frame) {
  if (frame.op === "heartbeat" || frame.channel === "status") state.hearTime(frame.time);
  const topic = topicOf(frame);
  if (!topic) return;
  if (frame.op === "data") take(topic, frame);
  else if (frame.op === "error") fail(topic, frame);
  else if (frame.op === "status") topic.staleReason = frame.state === "stale" ? frame.reason ?? "timeout" : null;
  else if (frame.op === "feed") topic.feed = frame;
  onFrame("badges", drawBadges);
}

// An error names the channel, or the subscription by its id. Candles of another series than the
// chosen one may still be under way.
function topicOf(frame) {
  const name = frame.channel ?? (frame.op === "error" ? frame.id : null);
  const isOther = name === "ohlc" && frame.interval && frame.op !== "subscribed" && !isChosen(frame);
  return isOther || !Object.hasOwn(topics, name ?? "") ? null : topics[name];
}

const isChosen = ({ id, interval: told }) => chosen && id === coinKey(chosen) && told === interval;

function take(topic, frame) {
  const rows = topic.take(frame);
  if (topic === topics.status) topic.heardAt = frame.time;
  if (rows === null) connection.again(frame.channel); // an update is missing: a snapshot instead
  else drawers[frame.channel](rows, frame.type === "snapshot");
  connection.settle();
}

function fail(topic, { channel, id, message }) {
  topic.error = message;
  if (topic === topics.ohlc) chart.fail(message);
  else drawers[channel ?? id]([], false);
}

function drawMarket(rows) {
  market.draw();
  if (!chosen && topics.market.data?.length) choose(topics.market.data[0]);
  const now = chosen && rows.find((coin) => coin && coinKey(coin) === coinKey(chosen));
  if (now) chart.showCoin((chosen = now));
}

function drawStatus() {
  const status = topics.status.data;
  if (!status) return;
  onFrame("status", () => {
    const metas = Object.fromEntries(CHANNELS.map((name) => [name, topics[name].meta]));
    showCategories(status, metas, isConnected());
    showProviders(status);
    setText(byId("version"), `${status.version} · ${words(status.status)}`);
  });
}

function drawMood() {
  onFrame("mood", () => mood.draw());
  wantHistory();
}

// The stream tells of today only. What failed is asked again, and not at each tick.
function wantHistory() {
  const day = topics.sentiment.data?.[0]?.timestamp;
  if (isConnected() && day && day !== historyDay && Date.now() >= historyDue) readHistory(day);
}

async function readHistory(day) {
  historyDay = day;
  try {
    mood.remember((await read(MOODS, access)).data);
    onFrame("mood", () => mood.draw());
  } catch (error) {
    historyDay = null;
    historyDue = Date.now() + HISTORY_PAUSE_MS;
    mood.miss();
    onFrame("mood", () => mood.draw());
    if (error instanceof Locked) connection.lock();
  }
}

function choose(coin) {
  chosen = coin;
  market.mark(coinKey(coin));
  chart.showCoin(coin);
  followCandles();
}

function followCandles() {
  topics.ohlc.clear();
  const name = coinKey(chosen);
  chart.turn({ id: name, symbol: chosen.symbol, interval });
  connection.follow("ohlc", { id: "ohlc", channel: "ohlc", symbols: [name], interval });
}

function drawBadges() {
  for (const name of CHANNELS) {
    const judge = name === "status" ? state.judgedStatus : state.judged;
    state.showBadge(name, judge(topics[name], isConnected()));
  }
}

const isConnected = () => connected.name === "open";

function turn(told) {
  const before = connected.name;
  connected = told;
  if (told.name === "connecting") forget();
  if (told.name === "locked") access.ask();
  if (told.name === "lost" && before === "open") state.announce(`Connection lost: ${told.why}.`);
  if (told.name === "open") state.announce("Connected.");
  drawStatus();
  onFrame("connection", () => state.showConnection(connected));
  onFrame("badges", drawBadges);
}

// What was said on the lost connection about feeds and staleness is said anew on the next one.
function forget() {
  state.forgetTime();
  for (const topic of Object.values(topics)) topic.staleReason = topic.feed = null;
}

function start() {
  if (document.visibilityState === "visible") connection.open();
  else connection.pause();
}

function listen() {
  document.addEventListener("visibilitychange", () => {
    if (connected.name !== "locked") start();
  });
  const retryNow = () => connected.name === "lost" && connection.open();
  addEventListener("online", retryNow);
  byId("retry").addEventListener("click", retryNow);
  const buttons = [...document.querySelectorAll("#intervals button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      interval = button.textContent;
      for (const one of buttons) setAttribute(one, "aria-pressed", String(one === button));
      if (chosen) followCandles();
    });
  }
}

eachSecond(drawBadges);
eachSecond(() => state.showConnection(connected));
eachSecond(drawStatus);
eachSecond(() => news.draw());
eachSecond(wantHistory);
listen();
offerCurl(
  {
    market: () => "api/market?limit=100",
    ohlc: () => `api/market/ohlc?symbol=${encodeURIComponent(chosen ? coinKey(chosen) : "BTC")}&interval=${interval}`,
    sentiment: () => MOODS,
    gas: () => "api/gas",
    news: () => "api/news?limit=50",
    status: () => "api/status",
  },
  access,
);
for (const name of CHANNELS) if (name !== "ohlc") connection.follow(name, { id: name, channel: name });
start();
