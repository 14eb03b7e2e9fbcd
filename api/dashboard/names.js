// Names of providers as people know them. The ids, which the API uses, are shown by tips.

const NAMES = {
  alternative_me: "Alternative.me",
  arbitrum_rpc: "Arbitrum node",
  avalanche_rpc: "Avalanche node",
  base_rpc: "Base node",
  binance: "Binance",
  bitstamp: "Bitstamp",
  bnb_rpc: "BNB Chain node",
  coinbase: "Coinbase",
  coinbase_rates: "Coinbase rates",
  coingecko_free: "CoinGecko",
  coingecko_pro: "CoinGecko Pro",
  coinmarketcap: "CoinMarketCap",
  coinpaprika: "CoinPaprika",
  cryptopanic: "CryptoPanic",
  esplora: "Blockstream",
  ethereum_rpc: "Ethereum node",
  etherscan: "Etherscan",
  etherscan_backup: "Etherscan (backup)",
  frankfurter: "Frankfurter",
  kraken: "Kraken",
  mempool_space: "mempool.space",
  newsapi: "NewsAPI",
  okx: "OKX",
  optimism_rpc: "Optimism node",
  polygon_rpc: "Polygon node",
  rss_bitcoinmagazine: "Bitcoin Magazine",
  rss_coindesk: "CoinDesk",
  rss_cointelegraph: "Cointelegraph",
  rss_cryptoslate: "CryptoSlate",
  rss_decrypt: "Decrypt",
  rss_dlnews: "DL News",
  rss_protos: "Protos",
  rss_theblock: "The Block",
  rss_thedefiant: "The Defiant",
};

// An id without a name, as of a provider that was added to the gateway, is shown as it is.
export const providerName = (id) => NAMES[id] ?? id;

export const providerNames = (ids) => [ids ?? []].flat().map(providerName).join(", ");
