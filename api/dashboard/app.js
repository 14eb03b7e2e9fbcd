// The dashboard: dispatches the stream's messages to the panels.

import { Access, Locked, read } from "./access.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { addCurlButtons } from "./curl.js";
import { byId, setAttribute, setText } from "./dom.js";
import { words } from "./format.js";
import { showGas } from "./gas.js";
import { Market } from "./market.js";
import { News } from "./news.js";
import { showCategories, showProviders } from "./providers.js";
import { eachSecond, onFrame } from "./render.js";
import { Sentiment } from "./sentiment.js";
import * as state from "./state.js";
import { coinKey, Topic } from "./topic.js";

const CHANNELS = ["market", "ohlc", "status", "gas", "sentiment", "news"];
const SENTIMENT_HISTORY = "api/sentiment?days=30";
const HISTORY_RETRY_MS = 15_000;

const topics = Object.fromEntries(CHANNELS.map((name) => [name, new Topic(name)]));
const access = new Access(() => start());
const connection = new Connection(access, onMessage, onConnectionState);
const market = new Market(topics.market, selectCoin);
const chart = new Chart(topics.ohlc);
const sentiment = new Sentiment(topics.sentiment);
const news = new News(topics.news);
let connectionState = { name: "connecting" };
let selectedCoin = null;
let interval = "1h";
let historyDay = null;
let historyRetryAt = 0;

const draw = {
  market: drawMarket,
  ohlc: (rows, isWhole) => chart.draw(rows, isWhole),
  status: drawStatus,
  gas: () => onFrame("gas", () => showGas(topics.gas)),
  sentiment: drawSentiment,
  news: () => news.draw(),
};

function onMessage(frame) {
  if (frame.op === "heartbeat" || frame.channel === "status") state.syncClock(frame.time);
  const topic = topicOf(frame);
  if (!topic) return;
  if (frame.op === "data") applyData(topic, frame);
  else if (frame.op === "error") showError(topic, frame);
  else if (frame.op === "status") topic.staleReason = frame.state === "stale" ? frame.reason ?? "timeout" : null;
  else if (frame.op === "feed") topic.feed = frame;
  onFrame("badges", drawBadges);
}

// An error names the channel, or the subscription by its id. Candles of a series that was selected
// before may still arrive.
function topicOf(frame) {
  const name = frame.channel ?? (frame.op === "error" ? frame.id : null);
  const isOther = name === "ohlc" && frame.interval && frame.op !== "subscribed" && !isSelected(frame);
  return isOther || !Object.hasOwn(topics, name ?? "") ? null : topics[name];
}

const isSelected = (frame) =>
  selectedCoin && frame.id === coinKey(selectedCoin) && frame.interval === interval;

function applyData(topic, frame) {
  const rows = topic.apply(frame);
  if (topic === topics.status) topic.receivedAt = frame.time;
  if (rows === null) connection.resubscribe(frame.channel); // an update is missing
  else draw[frame.channel](rows, frame.type === "snapshot");
  connection.resetBackoff();
}

function showError(topic, { channel, id, message }) {
  topic.error = message;
  if (topic === topics.ohlc) chart.showError(message);
  else draw[channel ?? id]([], false);
}

function drawMarket(rows) {
  market.draw();
  if (!selectedCoin && topics.market.data?.length) selectCoin(topics.market.data[0]);
  const update = selectedCoin && rows.find((coin) => coin && coinKey(coin) === coinKey(selectedCoin));
  if (update) chart.showCoin((selectedCoin = update));
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

function drawSentiment() {
  onFrame("sentiment", () => sentiment.draw());
  loadHistoryIfDue();
}

// The stream has only today's value. A failed request is repeated after a pause.
function loadHistoryIfDue() {
  const day = topics.sentiment.data?.[0]?.timestamp;
  if (isConnected() && day && day !== historyDay && Date.now() >= historyRetryAt) loadHistory(day);
}

async function loadHistory(day) {
  historyDay = day;
  try {
    sentiment.setHistory((await read(SENTIMENT_HISTORY, access)).data);
  } catch (error) {
    historyDay = null;
    historyRetryAt = Date.now() + HISTORY_RETRY_MS;
    sentiment.historyFailed();
    if (error instanceof Locked) connection.lock();
  }
  onFrame("sentiment", () => sentiment.draw());
}

function selectCoin(coin) {
  selectedCoin = coin;
  market.select(coinKey(coin));
  chart.showCoin(coin);
  subscribeCandles();
}

function subscribeCandles() {
  topics.ohlc.clear();
  const id = coinKey(selectedCoin);
  chart.setSeries({ id, symbol: selectedCoin.symbol, interval });
  connection.subscribe("ohlc", { id: "ohlc", channel: "ohlc", symbols: [id], interval });
}

function drawBadges() {
  for (const name of CHANNELS) {
    const badge = name === "status" ? state.statusBadge : state.topicBadge;
    state.showBadge(name, badge(topics[name], isConnected()));
  }
}

const isConnected = () => connectionState.name === "open";

function onConnectionState(newState) {
  const wasConnected = isConnected();
  connectionState = newState;
  if (newState.name === "connecting") resetTopics();
  if (newState.name === "locked") access.ask();
  if (newState.name === "lost" && wasConnected) state.announce(`Connection lost: ${newState.why}.`);
  if (newState.name === "open") state.announce("Connected.");
  drawStatus();
  onFrame("connection", () => state.showConnection(connectionState));
  onFrame("badges", drawBadges);
}

// A new connection reports tick feeds and staleness again.
function resetTopics() {
  state.resetClock();
  for (const topic of Object.values(topics)) topic.staleReason = topic.feed = null;
}

function start() {
  if (document.visibilityState === "visible") connection.open();
  else connection.pause();
}

function addListeners() {
  document.addEventListener("visibilitychange", () => {
    if (connectionState.name !== "locked") start();
  });
  const retryNow = () => connectionState.name === "lost" && connection.open();
  addEventListener("online", retryNow);
  byId("retry").addEventListener("click", retryNow);
  const buttons = [...document.querySelectorAll("#intervals button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      interval = button.textContent;
      for (const one of buttons) setAttribute(one, "aria-pressed", String(one === button));
      if (selectedCoin) subscribeCandles();
    });
  }
}

eachSecond(drawBadges);
eachSecond(() => state.showConnection(connectionState));
eachSecond(drawStatus);
eachSecond(() => news.draw());
eachSecond(loadHistoryIfDue);
addListeners();
addCurlButtons(
  {
    market: () => "api/market?limit=100",
    ohlc: () => {
      const symbol = encodeURIComponent(selectedCoin ? coinKey(selectedCoin) : "BTC");
      return `api/market/ohlc?symbol=${symbol}&interval=${interval}`;
    },
    sentiment: () => SENTIMENT_HISTORY,
    gas: () => "api/gas",
    news: () => "api/news?limit=50",
    status: () => "api/status",
  },
  access,
);
for (const name of CHANNELS) if (name !== "ohlc") connection.subscribe(name, { id: name, channel: name });
start();
