// The dashboard: creates its parts and connects them.

import { Access } from "./access.js";
import { showAddresses } from "./addresses.js";
import { showBanner } from "./banner.js";
import { Candles } from "./candles.js";
import { addFullScreen } from "./chart_tools.js";
import { showCluster } from "./cluster.js";
import { Connection } from "./connection.js";
import { addCurrencySwitch, currencyQuery, USD } from "./currency.js";
import { addCurlButtons } from "./curl.js";
import { byId, setText } from "./dom.js";
import { showGas } from "./gas.js";
import { GlobalBar } from "./global_bar.js";
import { healthOf } from "./health.js";
import { showMarketNote } from "./market_note.js";
import { Messages } from "./messages.js";
import { News } from "./news.js";
import * as permalink from "./permalink.js";
import { Poll } from "./poll.js";
import { showProviders } from "./providers.js";
import { eachSecond, onFrame } from "./render.js";
import { Search } from "./search.js";
import { Selection } from "./selection.js";
import { Sentiment } from "./sentiment.js";
import * as state from "./state.js";
import { showCategories } from "./strip.js";
import { addTimeZoneSwitch, onTimeZone } from "./time_zone.js";
import { addTips } from "./tip.js";
import { keepTitle } from "./title.js";
import { Topic } from "./topic.js";
import { showWarnings } from "./warnings.js";

const CHANNELS = ["market", "ohlc", "status", "gas", "sentiment", "news"];
const SENTIMENT_HISTORY = "api/sentiment?days=30";
// Why no data come, by the state of the connection.
const NO_DATA = { locked: "a key is required", lost: "the connection to the gateway is lost" };

const topics = Object.fromEntries(CHANNELS.map((name) => [name, new Topic(name)]));
const access = new Access(() => start());
const connection = new Connection(access, { onMessage, onState: onConnectionState });
let connectionState = { name: "connecting" };
// Whether this connection has brought data. Before that a key may be required.
let isServed = false;
const polls = [];
const onLocked = () => connection.lock();
let currency = USD;
let chain = "ethereum";

function newPoll(handlers) {
  const poll = new Poll({ access, isReady: () => isServed, onLocked }, handlers);
  polls.push(poll);
  return poll;
}

const candles = new Candles(topics.ohlc, connection, newPoll);
const sentiment = new Sentiment(topics.sentiment);
const news = new News(topics.news);
const globalBar = new GlobalBar();
const selection = new Selection({ topic: topics.market, candles, newPoll, onError: drawNote });
const { market } = selection;

// The stream's amounts are in USD. In another currency the market is read by REST.
const marketPoll = newPoll({
  onAnswer: (body) => drawMarket(topics.market.applyBody(body)),
  onError: (error) => {
    topics.market.fail(error);
    drawMarket(topics.market.data ?? []);
  },
});
const globalPoll = newPoll({
  onAnswer: (body) => globalBar.show(body),
  onError: (error) => globalBar.fail(error),
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

const messages = new Messages({
  topics,
  candles,
  draw: {
    market: drawMarket,
    ohlc: (rows, isWhole) => candles.chart.draw(rows, isWhole),
    status: drawStatus,
    gas: drawGas,
    sentiment: drawSentiment,
    news: () => news.draw(),
  },
  isOther,
  resubscribe: (channel) => connection.resubscribe(channel),
});

function onMessage(frame) {
  if (messages.receive(frame)) served();
  onFrame("badges", drawBadges);
}

function served() {
  connection.resetBackoff();
  if (isServed) return;
  isServed = true;
  for (const poll of polls) poll.readIfDue();
}

function isOther(name, frame) {
  if (name === "market") return currency !== USD;
  if (name === "gas") return frame.chain && frame.chain !== chain;
  return name === "ohlc" && frame.interval && frame.op !== "subscribed" && !candles.isOf(frame);
}

function checkAges() {
  globalBar.expire(topics.status.data?.categories.global?.max_stale_seconds);
  if (!isConnected()) messages.expireOld();
}

function drawMarket(rows) {
  selection.draw(rows);
  drawNote();
}

function drawNote() {
  const { meta, error, expiredSince } = topics.market;
  onFrame("market note", () => showMarketNote(meta, currency, [expiredSince ? error : "", selection.error]));
}

function drawStatus() {
  onFrame("status", () => {
    const { data: status, error } = topics.status;
    showCategories(status, topics, isConnected(), error);
    if (!status) return;
    showProviders(status);
    showCluster(status.cluster);
    setText(byId("version"), `${status.version}${isConnected() ? ` · ${healthOf(status)}` : ""}`);
  });
}

function drawSentiment() {
  onFrame("sentiment", () => sentiment.draw());
}

function drawGas() {
  onFrame("gas", () => showGas(topics.gas, chain));
}

function setCurrency(code) {
  currency = code;
  topics.market.clear();
  marketPoll.setPath(code === USD ? null : `api/market?limit=250${currencyQuery(code, "&")}`);
  if (code === USD) connection.subscribe("market", { id: "market", channel: "market" });
  else connection.unsubscribe("market");
  globalPoll.setPath(`api/global${currencyQuery(code, "?")}`);
  selection.setCurrency(code);
  onFrame("badges", drawBadges);
}

function setChain(name) {
  chain = name;
  topics.gas.clear();
  connection.subscribe("gas", { id: "gas", channel: "gas", chain });
  drawGas();
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

function isConnected() {
  return connectionState.name === "open";
}

function onConnectionState(newState) {
  const wasConnected = isConnected();
  connectionState = newState;
  isServed = false;
  const { name, why } = newState;
  if (name === "connecting") messages.reset();
  if (name === "locked") access.ask();
  if (NO_DATA[name]) showReason(NO_DATA[name]);
  if (name === "open") messages.forgetReasons(Object.values(NO_DATA));
  if (name === "lost" && wasConnected) state.announce(`Connection lost: ${why}.`);
  if (name === "open") state.announce("Connected.");
  drawStatus();
  onFrame("connection", () => state.showConnection(connectionState));
  onFrame("badges", drawBadges);
}

function showReason(reason) {
  messages.showReason(reason);
  globalBar.fail({ message: reason });
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
  candles.onPress(() => selection.keep());
  onTimeZone(() => market.draw());
  byId("chain").addEventListener("change", (event) => setChain(event.target.value));
}

for (const job of [checkAges, drawBadges, drawStatus, () => news.draw()]) eachSecond(job);
eachSecond(() => state.showConnection(connectionState));
new Search(access, (coin) => selection.choose(coin), onLocked);
addListeners();
addTips();
keepTitle(access, isConnected);
addFullScreen();
addTimeZoneSwitch();
showAddresses();
candles.press(permalink.wanted().interval);
addCurlButtons(
  {
    market: () => `api/market?${market.query}${currencyQuery(currency, "&")}`,
    ohlc: () => candles.path,
    sentiment: () => SENTIMENT_HISTORY,
    gas: () => (chain === "ethereum" ? "api/gas" : `api/gas?chain=${chain}`),
    news: () => `api/news?${news.query}`,
    status: () => "api/status",
  },
  access,
);
setCurrency(addCurrencySwitch(setCurrency)); // first: its rows are what the reader waits for
byId("chain").value = chain; // a browser may restore another choice
setChain(chain);
for (const name of ["status", "sentiment", "news"]) connection.subscribe(name, { id: name, channel: name });
historyPoll.setPath(SENTIMENT_HISTORY);
start();
