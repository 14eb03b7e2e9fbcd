// The dashboard: dispatches the stream's messages to the panels.

import { Access, Locked, read, rowsOf } from "./access.js";
import { showAddresses } from "./addresses.js";
import { showBanner } from "./banner.js";
import { Candles } from "./candles.js";
import { addFullScreen } from "./chart_tools.js";
import { showCluster } from "./cluster.js";
import { Connection } from "./connection.js";
import { addCurrencySwitch, currencyQuery, USD } from "./currency.js";
import { addCurlButtons } from "./curl.js";
import { byId, isNarrow, prefersReducedMotion, setAttribute, setText } from "./dom.js";
import { showGas } from "./gas.js";
import { GlobalBar } from "./global_bar.js";
import { Market } from "./market.js";
import { showMarketNote } from "./market_note.js";
import { News } from "./news.js";
import * as permalink from "./permalink.js";
import { Poll } from "./poll.js";
import { showProviders } from "./providers.js";
import { eachSecond, onFrame } from "./render.js";
import { Search } from "./search.js";
import { Sentiment } from "./sentiment.js";
import { Sparklines } from "./sparklines.js";
import * as state from "./state.js";
import { showCategories } from "./strip.js";
import { addTimeZoneSwitch, onTimeZone } from "./time_zone.js";
import { addTips } from "./tip.js";
import { coinKey, Topic, withoutFigures } from "./topic.js";
import { showWarnings } from "./warnings.js";
import { Watchlist } from "./watchlist.js";

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
const watchlist = new Watchlist(watchlistChanged);
const market = new Market({
  topic: topics.market,
  sparklines: new Sparklines(newPoll, () => market.draw()),
  watchlist,
  onSelect: chooseCoin,
  onView: readBeyond,
});
const candles = new Candles(topics.ohlc, connection, newPoll);
const sentiment = new Sentiment(topics.sentiment);
const news = new News(topics.news);
let currency = USD;
let chain = "ethereum";
let selectedCoin = null;
// The coin that was found by the search and is not in the list, and why it has no price.
let foundId = null;
let foundError = "";
// The request of the watched coins beyond the list.
let beyondPath = null;

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
// The watched coins beyond the list; without an answer their rows have no figures.
const beyondPoll = newPoll({
  onAnswer: (body) => market.showBeyond(rowsOf(body)),
  onError: () => {},
});
const globalBar = new GlobalBar();
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
    for (const poll of [marketPoll, globalPoll, foundPoll, beyondPoll, historyPoll, candles.poll]) poll.readIfDue();
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
  const categories = topics.status.data?.categories ?? {};
  globalBar.expire(categories.global?.max_stale_seconds);
  if (isConnected()) return;
  for (const [name, { max_stale_seconds: most }] of Object.entries(categories)) {
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
  if (!selectedCoin && data?.length) selectWanted(data);
  else selectAgain(data ?? []);
  if (!selectedCoin && error) candles.showError({ message: `No coins are known: ${error}` });
  readBeyond();
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
  showWatch();
}

// What the reader chooses is remembered, and is in the page's address.
function chooseCoin(coin) {
  if (listed(coinKey(coin)) || coinKey(coin) === foundId) selectCoin(coin);
  else followFound(coin);
  keepChoice();
  if (isNarrow.matches) showChart();
}

function keepChoice() {
  if (selectedCoin) permalink.keep({ coin: coinKey(selectedCoin), interval: candles.interval });
}

// Where the panels are below each other, the chart may be far from the row.
function showChart() {
  const behavior = prefersReducedMotion.matches ? "auto" : "smooth";
  byId("candles").scrollIntoView({ block: "start", behavior });
}

// Selects the coin of the page's address, or the remembered one, or the first.
function selectWanted(coins) {
  const { coin: name } = permalink.wanted();
  if (!name) selectCoin(coins[0]);
  else selectNamed(name, coins);
}

// The first rows may have no ids yet: the selected coin is then known by its symbol.
function selectAgain(coins) {
  if (!selectedCoin || selectedCoin.id) return;
  const found = coins.find(({ id, symbol }) => id && symbol === selectedCoin.symbol);
  if (found) selectCoin(found);
}

function selectNamed(name, coins) {
  const coin = coins.find((one) => coinKey(one) === name) ?? coins.find(({ symbol }) => symbol === name.toUpperCase());
  if (coin) selectCoin(coin);
  else findCoin({ id: name, symbol: name.toUpperCase(), name });
}

function addressChanged() {
  const { coin, interval } = permalink.addressed();
  if (interval) pressInterval(interval);
  if (coin && topics.market.data) selectNamed(coin, topics.market.data);
}

function showWatch() {
  const button = byId("watch");
  const isWatched = watchlist.has(coinKey(selectedCoin));
  button.disabled = false;
  setAttribute(button, "aria-pressed", String(isWatched));
  setAttribute(button, "aria-label", `Watch ${selectedCoin.name ?? selectedCoin.symbol}`);
  setText(button, isWatched ? "★" : "☆");
}

function watchlistChanged() {
  market.draw();
  readBeyond();
  if (selectedCoin) showWatch();
}

// Reads the watched coins that are not in the list, while they are shown.
function readBeyond() {
  const ids = market.wantedIds.map(encodeURIComponent).join(",");
  const path = ids ? `api/market?ids=${ids}&limit=250${currencyQuery(currency, "&")}` : null;
  if (path !== beyondPath) beyondPoll.setPath((beyondPath = path));
}

const isListed = (coin) => coinKey(coin) !== foundId;

function chooseFound(coin) {
  findCoin(coin);
  keepChoice();
  if (isNarrow.matches) showChart();
}

const listed = (key) => topics.market.data?.find((coin) => coinKey(coin) === key);

// Selects a coin by what the search knows of it.
function findCoin({ id, symbol, name }) {
  const coin = listed(id);
  market.clearFilter();
  if (!coin) {
    followFound({ id, symbol, name });
    return;
  }
  foundId = null;
  market.showFound(coin);
  selectCoin(coin);
  readFound();
}

// Selects a coin beyond the list, which is read by itself.
function followFound(coin) {
  foundId = coinKey(coin);
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
  if (coinKey(coin) === foundId) drawFoundRow(coin);
  else findCoin(coin); // it was asked for by its symbol
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
  const error = await read("api/global", access).then(() => null, (failed) => failed);
  if (error instanceof Locked) connection.lock();
  const waitMs = access.limitedUntil - Date.now();
  if (waitMs > 0) return { why: "the request limit of your address is used up", waitMs };
  // An error of the gateway itself has a code; a proxy's has none.
  const isReachable = !error || (Boolean(error.code) && error.code !== "connect_error");
  return isReachable ? { isReachable } : null;
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
  if (newState.name === "locked" || newState.name === "lost") showReason(NO_DATA[newState.name]);
  if (newState.name === "open") forgetReason();
  if (newState.name === "lost" && wasConnected) state.announce(`Connection lost: ${newState.why}.`);
  if (newState.name === "open") state.announce("Connected.");
  drawStatus();
  onFrame("connection", () => state.showConnection(connectionState));
  onFrame("badges", drawBadges);
}

const NO_DATA = { locked: "a key is required", lost: "the connection to the gateway is lost" };

// In the place of "Waiting …" where there are no data.
function showReason(reason) {
  for (const [name, topic] of Object.entries(topics)) {
    if (!topic.data && topic !== topics.status) showError(topic, { channel: name, message: reason });
  }
}

function forgetReason() {
  for (const [name, topic] of Object.entries(topics)) {
    if (topic.data || !Object.values(NO_DATA).includes(topic.error)) continue;
    topic.error = null;
    if (topic === topics.ohlc) candles.chart.clear("Waiting for candles …");
    else draw[name]([], false);
  }
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

const intervalButtons = () => [...document.querySelectorAll("#intervals button")];

// Nothing for an interval that has no button.
function pressInterval(interval) {
  const buttons = intervalButtons();
  if (interval === candles.interval || !buttons.some((one) => one.textContent === interval)) return;
  for (const one of buttons) setAttribute(one, "aria-pressed", String(one.textContent === interval));
  candles.setInterval(interval);
}

function addListeners() {
  document.addEventListener("visibilitychange", () => {
    if (connectionState.name !== "locked") start();
  });
  const retryNow = () => connectionState.name === "lost" && connection.open();
  addEventListener("online", retryNow);
  byId("retry").addEventListener("click", retryNow);
  for (const button of intervalButtons()) {
    button.addEventListener("click", () => {
      if (button.ariaDisabled === "true") return;
      pressInterval(button.textContent);
      keepChoice();
    });
  }
  byId("watch").addEventListener("click", () => watchlist.toggle(selectedCoin));
  addEventListener("hashchange", addressChanged);
  onTimeZone(() => market.draw());
  byId("chain").addEventListener("change", (event) => setChain(event.target.value));
}

eachSecond(checkAges);
eachSecond(drawBadges);
eachSecond(() => state.showConnection(connectionState));
eachSecond(drawStatus);
eachSecond(() => news.draw());
new Search(access, chooseFound, onLocked);
addListeners();
addTips();
addFullScreen();
addTimeZoneSwitch();
showAddresses();
pressInterval(permalink.wanted().interval);
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
for (const name of ["status", "sentiment", "news"]) connection.subscribe(name, { id: name, channel: name });
byId("chain").value = chain; // a browser may restore another choice
setChain(chain);
setCurrency(addCurrencySwitch(setCurrency));
historyPoll.setPath(SENTIMENT_HISTORY);
start();
