"""CoinGecko ids for the rows of other vendors' lists.

A wrong id is worse than none: a row without sure evidence stays without an id.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

#: Names that vendors give to a coin in addresses, where these are not CoinGecko's id. Only coins of
#: which ticker and name together leave no doubt; the keys are CoinGecko's ids.
_OTHER_SLUGS: Mapping[str, tuple[str, str]] = {
    "avalanche-2": ("AVAX", "avalanche"),
    "binancecoin": ("BNB", "bnb binance-coin"),
    "blockstack": ("STX", "stacks"),
    "crypto-com-chain": ("CRO", "cronos cryptocom-chain"),
    "dai": ("DAI", "multi-collateral-dai"),
    "elrond-erd-2": ("EGLD", "multiversx-egld elrond"),
    "flare-networks": ("FLR", "flare flare-network"),
    "hedera-hashgraph": ("HBAR", "hedera"),
    "immutable-x": ("IMX", "immutable"),
    "injective-protocol": ("INJ", "injective"),
    "leo-token": ("LEO", "unus-sed-leo leo"),
    "near": ("NEAR", "near-protocol"),
    "optimism": ("OP", "optimism-ethereum"),
    "polkadot": ("DOT", "polkadot-new"),
    "quant-network": ("QNT", "quant"),
    "ripple": ("XRP", "xrp"),
    "sei-network": ("SEI", "sei"),
    "terra-luna": ("LUNC", "terra-luna terra-classic"),
    "terra-luna-2": ("LUNA", "terra-luna-v2 terra"),
    "the-open-network": ("TON", "toncoin"),
    "theta-token": ("THETA", "theta-network"),
    "usd-coin": ("USDC", "usd-coin usdc"),
    "xdce-crowd-sale": ("XDC", "xinfin xdc-network"),
}
#: Coins whose id is also the other vendors' name for them.
_SAME_SLUGS = {
    "aave": "AAVE",
    "algorand": "ALGO",
    "aptos": "APT",
    "arbitrum": "ARB",
    "arweave": "AR",
    "bitcoin": "BTC",
    "bitcoin-cash": "BCH",
    "bittensor": "TAO",
    "cardano": "ADA",
    "celestia": "TIA",
    "chainlink": "LINK",
    "cosmos": "ATOM",
    "dash": "DASH",
    "dogecoin": "DOGE",
    "ethereum": "ETH",
    "ethereum-classic": "ETC",
    "filecoin": "FIL",
    "hyperliquid": "HYPE",
    "internet-computer": "ICP",
    "kaspa": "KAS",
    "litecoin": "LTC",
    "mantle": "MNT",
    "monero": "XMR",
    "okb": "OKB",
    "pepe": "PEPE",
    "shiba-inu": "SHIB",
    "solana": "SOL",
    "stellar": "XLM",
    "sui": "SUI",
    "tether": "USDT",
    "tezos": "XTZ",
    "tron": "TRX",
    "uniswap": "UNI",
    "vechain": "VET",
    "wrapped-bitcoin": "WBTC",
    "zcash": "ZEC",
}
#: By ticker and name in addresses.
SURE_IDS: Mapping[tuple[str, str], str] = {
    (symbol, slug): coin_id
    for coin_id, symbol, slugs in (
        *((coin_id, symbol, coin_id) for coin_id, symbol in _SAME_SLUGS.items()),
        *((coin_id, symbol, slugs) for coin_id, (symbol, slugs) in _OTHER_SLUGS.items()),
    )
    for slug in slugs.split()
}


@dataclass(frozen=True, slots=True)
class ForeignName:
    """A coin in another vendor's list: the names, the addresses of the contracts, the price in
    USD and the rank."""

    symbol: str
    slug: str
    name: str | None
    contracts: tuple[str, ...]
    price: float | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class KnownName:
    """What is known of a coin with CoinGecko's id."""

    id: str
    symbol: str
    name: str | None
    price: float | None
    rank: int | None


class ForeignIds:
    """Finds CoinGecko's ids: by contract, then by name in addresses, ticker and price, then in the
    table of sure ids, then by ticker, name, price and rank. Never by the ticker alone.

    `agree` says whether two prices may be of one coin. `contracts` maps contract addresses, as
    `contract_key` writes them, to ids.
    """

    def __init__(
        self,
        known: Iterable[KnownName],
        contracts: Mapping[str, str],
        agree: Callable[[float, float], bool],
    ) -> None:
        self._by_id = {one.id: one for one in known}
        self._by_name: dict[tuple[str, str], list[KnownName]] = {}
        for one in self._by_id.values():
            if one.name:
                self._by_name.setdefault(_name_key(one.symbol, one.name), []).append(one)
        self._contracts, self._agree = contracts, agree

    def id_of(self, row: ForeignName) -> str | None:
        by_contract = {
            coin_id
            for address in row.contracts
            if (coin_id := self._contracts.get(contract_key(address)))
        }
        if len(by_contract) == 1:  # two ids for one row: one of the addresses is wrong
            return self._unless_contradicted(by_contract.pop(), row)
        slug_owner = self._by_id.get(row.slug)
        if slug_owner and slug_owner.symbol == row.symbol and self._has_price_of(slug_owner, row):
            return slug_owner.id
        if sure := SURE_IDS.get((row.symbol, row.slug)):
            return self._unless_contradicted(sure, row)
        namesakes = [
            one
            for one in self._by_name.get(_name_key(row.symbol, row.name), ())
            if self._has_price_of(one, row) and _have_near_ranks(one, row)
        ]
        return namesakes[0].id if len(namesakes) == 1 else None

    def contradicted_id(self, row: ForeignName) -> str | None:
        """The id of the known coin that the row names, but at a price that is far from the coin's:
        either the row is another coin's, or its price is wrong."""
        owners = {self._contracts.get(contract_key(address)) for address in row.contracts}
        owners |= {SURE_IDS.get((row.symbol, row.slug)), row.slug}
        owners |= {one.id for one in self._by_name.get(_name_key(row.symbol, row.name), ())}
        for known in (
            self._by_id[one] for one in sorted(filter(None, owners)) if one in self._by_id
        ):
            is_named = known.symbol == row.symbol and known.price and row.price
            if is_named and not self._has_price_of(known, row):
                return known.id
        return None

    def _has_price_of(self, known: KnownName, row: ForeignName) -> bool:
        return bool(known.price and row.price and self._agree(row.price, known.price))

    def _unless_contradicted(self, coin_id: str, row: ForeignName) -> str | None:
        """The id, unless the coin is known at a price that the row's is far from."""
        known = self._by_id.get(coin_id)
        is_other = known and known.price and row.price and not self._agree(row.price, known.price)
        return None if is_other else coin_id


def _name_key(symbol: str, name: str | None) -> tuple[str, str]:
    return symbol, (name or "").casefold()


def contract_key(address: str) -> str:
    """The address of a contract as it is compared: hexadecimal ones have no case."""
    return address.lower() if address[:2].lower() == "0x" else address


def _have_near_ranks(known: KnownName, row: ForeignName) -> bool:
    """Ranks of the same size, within a factor of ten."""
    if known.rank is None or row.rank is None:
        return False
    return known.rank / 10 <= row.rank <= known.rank * 10
