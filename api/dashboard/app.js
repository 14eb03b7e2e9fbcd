// The dashboard: dispatches the stream's messages to the panels.

import { Access, read } from "./access.js";
import { showBanner } from "./banner.js";
import { Candles } from "./candles.js";
import { showCluster } from "./cluster.js";
import { Connection } from "./connection.js";
import { addCurrencySwitch, currencyQuery, USD } from "./currency.js";
import { addCurlButtons } from "./curl.js";
import { byId, setAttribute, setText } from "./dom.js";
import { showGas } from "./gas.js";
import { showGlobal } from "./global_bar.js";
import { Market } from "./market.js";
import { showMarketNote } from "./market_note.js";
import { News } from "./news.js";
import { Poll } from "./poll.js";
import { showProviders } from "./providers.js";
import { eachSecond, onFrame } from "./render.js";
import { Search } from "./search.js";
import { Sentiment } from "./sentiment.js";
import { Sparklines } from "./sparklines.js";
import * as state from "./state.js";
import { showCategories } from "./strip.js";
import { addTips } from "./tip.js";
import { coinKey, Topic, withoutFigures } from "./topic.js";
import { showWarnings } from "./warnings.js";

const CHANNELS = ["market", "ohlc", "status", "gas", "sentiment", "news"];
const SENTIMENT_HISTORY = "api/sentiment?days=30";

const topics = Object.fromEntries(CHANNELS.map((name) => [name, new Topic(name)]));
const access = new Access(() => start());
const connection = new Connection(access, { onMessage, onState: onConnectionState, explain: explainLoss });
let connectionState = { name: "connecting" };
// Whether this connection has brought data. Before that a key may be required.
let isServed = false;
const onLocked = () => connection.lock();
const newPoll = (handlers) => new Poll({ access, isReady: () => isServed, onLocked }, handlers);
const market = new Market(topics.market, new Sparklines(newPoll, () => market.draw()), selectCoin);
const candles = new Candles(topics.ohlc, connection, newPoll);
const sentiment = new Sentiment(topics.sentiment);
const news = new News(topics.news);
let currency = USD;
let chain = "ethereum";
let selectedCoin = null;
// The coin that was found by the search and is not in the list, and why it has no price.
let foundId = null;
let foundError = "";

// The stream's amounts are in USD. In another currency the market is read by REST.
const marketPoll = newPoll({
  onAnswer: (body) => drawMarket(topics.market.applyBody(body)),
  onError: (error) => {
    topics.market.fail(error);
    drawMarket(topics.market.data ?? []);
  },
});
const foundPoll = newPoll({
  onAnswer: ({ data }) => drawFound(data),
  onError: (error) => foundFailed(error),
});
const globalPoll = newPoll({
  onAnswer: ({ data, meta }) => onFrame("global", () => showGlobal(data, meta?.currency ?? USD)),
  onError: ({ message }) => onFrame("global", () => showGlobal(null, USD, `Whole market: ${message}`)),
});
const historyPoll = newPoll({
  onAnswer: ({ data }) => {
    sentiment.setHistory(data);
    drawSentiment();
  },
  onError: () => {
    sentiment.historyFailed();
    drawSentiment();
  },
});

const draw = {
  market: drawMarket,
  ohlc: (rows, isWhole) => candles.chart.draw(rows, isWhole),
  status: drawStatus,
  gas: () => onFrame("gas", () => showGas(topics.gas, chain)),
  sentiment: drawSentiment,
  news: () => news.draw(),
};

function onMessage(frame) {
  if (frame.op === "heartbeat" || frame.channel === "status") state.syncClock(frame.time);
  const topic = topicOf(frame);
  if (!topic) return;
  if (frame.op === "data") applyData(topic, frame);
  else if (frame.op === "error") showError(topic, frame);
  else if (frame.op === "status") applyState(topic, frame);
  else if (frame.op === "feed") topic.feed = frame;
  onFrame("badges", drawBadges);
}

// An error names the channel, or the subscription by its id. Messages of another series, chain or
// currency than the present one may still arrive.
function topicOf(frame) {
  const name = frame.channel ?? (frame.op === "error" ? frame.id : null);
  return !Object.hasOwn(topics, name ?? "") || isOther(name, frame) ? null : topics[name];
}

function isOther(name, frame) {
  if (name === "market") return currency !== USD;
  if (name === "gas") return frame.chain && frame.chain !== chain;
  return name === "ohlc" && frame.interval && frame.op !== "subscribed" && !candles.isOf(frame);
}

function applyData(topic, frame) {
  const rows = topic.apply(frame);
  if (topic === topics.status) topic.receivedAt = frame.time;
  if (rows === null) connection.resubscribe(frame.channel); // an update is missing
  else draw[frame.channel](rows, frame.type === "snapshot");
  connection.resetBackoff();
  if (!isServed) {
    isServed = true;
    for (const poll of [marketPoll, globalPoll, foundPoll, historyPoll, candles.poll]) poll.readIfDue();
  }
}

function applyState(topic, { channel, state: name, reason }) {
  if (name !== "expired") topic.staleReason = name === "live" ? null : reason ?? "timeout";
  else expire(channel, reason);
}

// Blanks figures that are too old to be shown.
function expire(channel, reason) {
  const topic = topics[channel];
  if (!topic.expire(reason)) return;
  if (channel === "ohlc") candles.chart.clear(topic.error);
  else draw[channel](topic.data ?? [], false);
}

// Without a connection the page itself sees to it that nothing too old is shown.
function checkAges() {
  if (isConnected()) return;
  for (const [name, { max_stale_seconds: most }] of Object.entries(topics.status.data?.categories ?? {})) {
    const meta = topics[name]?.meta;
    if (meta && state.now() - Date.parse(meta.fetched_at) > most * 1_000) expire(name, "connection_lost");
  }
}

function showError(topic, frame) {
  if (topic === topics.ohlc) {
    candles.showError(frame);
    return;
  }
  topic.setError(frame.message);
  draw[frame.channel ?? frame.id]([], false);
}

function drawMarket(rows) {
  market.draw();
  drawNote();
  const { data, error } = topics.market;
  if (!selectedCoin && data?.length) selectCoin(data[0]);
  if (!selectedCoin && error) candles.chart.showError(`No coins are known: ${error}`);
  showIfSelected(rows);
}

function showIfSelected(rows) {
  const update = selectedCoin && rows.find((coin) => coin && coinKey(coin) === coinKey(selectedCoin));
  if (update) candles.chart.showCoin((selectedCoin = update), currency);
}

function drawNote() {
  const { meta, error, expiredSince } = topics.market;
  onFrame("market note", () => showMarketNote(meta, currency, [expiredSince ? error : "", foundError]));
}

function drawStatus() {
  const status = topics.status.data;
  if (!status) return;
  onFrame("status", () => {
    showCategories(status, topics, isConnected());
    showProviders(status);
    showCluster(status.cluster);
    setText(byId("version"), `${status.version}${isConnected() ? ` · ${healthOf(status)}` : ""}`);
  });
}

const HEALTHS = { ok: "All systems operational", degraded: "Some providers do not answer", down: "No provider answers" };

function healthOf({ status, providers }) {
  return providers.some((provider) => provider.last_success_at) ? HEALTHS[status] ?? status : "No answers yet";
}

function drawSentiment() {
  onFrame("sentiment", () => sentiment.draw());
}

function selectCoin(coin) {
  selectedCoin = coin;
  market.select(coinKey(coin));
  candles.chart.showCoin(coin, currency);
  candles.show(coin, isListed(coin), currency);
}

const isListed = (coin) => coinKey(coin) !== foundId;

// Selects the coin that the user chose from the search; a coin beyond the list is read by itself.
function findCoin({ id, symbol, name }) {
  const listed = topics.market.data?.find((coin) => coinKey(coin) === id);
  const coin = listed ?? { id, symbol, name };
  foundId = listed ? null : id;
  market.clearFilter();
  market.showFound(coin);
  selectCoin(coin);
  readFound();
}

function readFound() {
  setFoundError("");
  foundPoll.setPath(foundId && `api/market/${encodeURIComponent(foundId)}${currencyQuery(currency, "?")}`);
}

function drawFound(coin) {
  setFoundError("");
  drawFoundRow(coin);
}

function drawFoundRow(coin) {
  market.showFound(coin);
  showIfSelected([coin]);
}

function foundFailed({ message, isRefusal }) {
  setFoundError(`No price of ${foundId}: ${message}`);
  if (isRefusal) drawFoundRow(withoutFigures(market.coin(foundId)));
}

function setFoundError(text) {
  foundError = text;
  drawNote();
}

function setCurrency(code) {
  currency = code;
  topics.market.clear();
  market.setCurrency(code);
  marketPoll.setPath(code === USD ? null : `api/market?limit=250${currencyQuery(code, "&")}`);
  if (code === USD) connection.subscribe("market", { id: "market", channel: "market" });
  else connection.unsubscribe("market");
  globalPoll.setPath(`api/global${currencyQuery(code, "?")}`);
  readFound();
  if (selectedCoin) {
    selectedCoin = withoutFigures(selectedCoin); // its amounts are in the currency before
    candles.chart.showCoin(selectedCoin, currency);
    candles.show(selectedCoin, isListed(selectedCoin), currency);
  }
  onFrame("badges", drawBadges);
}

function setChain(name) {
  chain = name;
  topics.gas.clear();
  connection.subscribe("gas", { id: "gas", channel: "gas", chain });
  draw.gas();
  onFrame("badges", drawBadges);
}

function drawBadges() {
  for (const name of CHANNELS) {
    const badge = name === "status" ? state.statusBadge : state.topicBadge;
    state.showBadge(name, badge(topics[name], isConnected()));
    if (name !== "status") showWarnings(name, topics[name].meta?.warnings ?? []);
  }
  showBanner(connectionState, access.limitedUntil, topics);
}

// Why the stream cannot be reached, as a request learns it.
async function explainLoss() {
  try {
    await read("api/status", access);
  } catch {
    // what matters is noted in `access`
  }
  const waitMs = access.limitedUntil - Date.now();
  return waitMs > 0 ? { why: "the request limit of your address is used up", waitMs } : null;
}

function isConnected() {
  return connectionState.name === "open";
}

function onConnectionState(newState) {
  const wasConnected = isConnected();
  connectionState = newState;
  isServed = false;
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
      if (button.ariaDisabled === "true") return;
      for (const one of buttons) setAttribute(one, "aria-pressed", String(one === button));
      candles.setInterval(button.textContent);
    });
  }
  byId("chain").addEventListener("change", (event) => setChain(event.target.value));
}

eachSecond(checkAges);
eachSecond(drawBadges);
eachSecond(() => state.showConnection(connectionState));
eachSecond(drawStatus);
eachSecond(() => news.draw());
new Search(access, findCoin, onLocked);
addListeners();
addTips();
addCurlButtons(
  {
    market: () => `api/market?limit=100${currencyQuery(currency, "&")}`,
    ohlc: () => candles.path,
    sentiment: () => SENTIMENT_HISTORY,
    gas: () => (chain === "ethereum" ? "api/gas" : `api/gas?chain=${chain}`),
    news: () => "api/news?limit=50",
    status: () => "api/status",
  },
  access,
);
for (const name of ["status", "sentiment", "news"]) connection.subscribe(name, { id: name, channel: name });
byId("chain").value = chain; // a browser may restore another choice
setChain(chain);
setCurrency(addCurrencySwitch(setCurrency));
historyPoll.setPath(SENTIMENT_HISTORY);
start();
