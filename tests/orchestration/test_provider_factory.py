"""From a registry line and settings to a provider."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from backend.environment import SettingsError
from backend.errors import ProviderError, RateLimited
from backend.events import Event
from backend.models.status import Refusal
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S
from backend.orchestration.provider import Offer, Provider
from backend.orchestration.provider_factory import ProviderFactory, keyed_plan
from backend.providers.adapter import Auth, Plan, ProviderSpec, Window
from backend.providers.client import ProviderClient
from backend.settings import load_configuration
from backend.storage.contract import SavedBlock, SavedState, Storage
from tests.clocks import EPOCH, EPOCH_MS, ManualClock
from tests.walk import PriceQuery, Wire, error, price, status, stub_adapter

AUTH = Auth("header", "x-key")
SMALL = Plan("small", ("https://a.example",), (Window(10, 60),), AUTH)
LARGE = Plan("large", ("https://a.example",), (Window(100, 60),), AUTH)
OPEN = Plan("open", ("https://a.example",), (Window(5, 60),))
SPEC = ProviderSpec("one", stub_adapter(), keyed=SMALL, keyless=OPEN, other_plans=(LARGE,))
BACKUP = ProviderSpec("two", stub_adapter(), keyed=SMALL, ledger="account", tiers={"price": 3})
FIRST = ProviderSpec("three", stub_adapter(), keyed=SMALL, ledger="account")


@pytest.fixture(autouse=True)
def no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def build(clock: ManualClock, *specs: ProviderSpec) -> list[Provider]:
    events: list[Event] = []
    factory = ProviderFactory(
        load_configuration(spec.name for spec in specs),
        ProviderClient(clock, Wire()),
        clock=clock,
        emit=events.append,
        jitter=lambda: 1.0,
        redact=str,
    )
    return list(factory.manager(specs).providers)


def limits(provider: Provider) -> list[int]:
    return [quota.limit for quota in provider.status().quotas]


def test_without_a_key_the_keyless_plan_is_used(clock: ManualClock) -> None:
    (provider,) = build(clock, SPEC)
    assert limits(provider) == [5]


def test_a_key_selects_the_first_plan_and_a_plan_name_another(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_API_KEY", "secret-key")
    assert limits(build(clock, SPEC)[0]) == [10]
    monkeypatch.setenv("ONE_PLAN", "large")
    assert limits(build(clock, SPEC)[0]) == [100]


def test_an_unknown_plan_is_a_wrong_setting_that_lists_the_known(clock: ManualClock) -> None:
    with pytest.raises(SettingsError, match="ONE_PLAN: must be one of small, large"):
        keyed_plan(SPEC, "huge")
    with pytest.raises(SettingsError, match="PLAIN_PLAN: must be empty"):
        keyed_plan(ProviderSpec("plain", stub_adapter(), keyless=OPEN), "huge")


def test_without_a_required_key_the_provider_is_off(clock: ManualClock) -> None:
    (provider,) = build(clock, BACKUP)
    assert provider.offer(PriceQuery()) == Refusal("two", "not_configured")


def test_an_offer_has_the_tier_of_the_registry(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWO_API_KEY", "secret-key")
    (provider,) = build(clock, BACKUP)
    offer = provider.offer(PriceQuery())
    assert isinstance(offer, Offer)
    assert (offer.tier, offer.headroom) == (3, 1.0)


@pytest.mark.parametrize(("shares", "used"), [("true", 1), ("false", 0)])
async def test_keys_of_one_account_share_its_limits(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, shares: str, used: int
) -> None:
    for name in ("TWO_API_KEY", "THREE_API_KEY"):
        monkeypatch.setenv(name, "secret-key")
    monkeypatch.setenv("TWO_SHARES_ACCOUNT", shares)
    first, backup = build(clock, FIRST, BACKUP)
    await first.fetch(PriceQuery(), 3)
    assert backup.status().quotas[0].used == used


def test_limits_of_the_settings_are_those_of_the_plan_in_use(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_LIMITS", "77/minute,9/2 hours")
    assert limits(build(clock, SPEC)[0]) == [77, 9]
    monkeypatch.setenv("ONE_API_KEY", "secret-key")
    (provider,) = build(clock, SPEC)
    assert limits(provider) == [77, 9]
    keyless = provider._executor.keyless
    assert keyless is not None
    assert [quota.limit for quota in keyless.guard.quotas()] == [5]


class Store(Storage):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.told: list[dict[tuple[str, int], int]] = []

        self.blocks: dict[str, SavedBlock | None] = {}

    async def add_calls(self, amounts: Mapping[tuple[str, int], int], now_s: float | None) -> bool:
        self.told.append(dict(amounts))
        return True

    def save_block(self, name: str, block: SavedBlock | None) -> None:
        self.blocks[name] = block


DAILY = Plan("daily", ("https://a.example",), (Window(100, 86_400.0, kind="day"),))
SCARCE = ProviderSpec("four", stub_adapter(), keyless=DAILY)
MINUTE = EPOCH_MS // 60_000


def stored(
    clock: ManualClock,
    store: Store | None,
    saved: SavedState | None,
    wire: Wire | None = None,
) -> ProviderFactory:
    events: list[Event] = []
    return ProviderFactory(
        load_configuration(["one", "two", "three", "four"]),
        ProviderClient(clock, wire or Wire()),
        clock=clock,
        emit=events.append,
        jitter=lambda: 1.0,
        redact=str,
        store=store or Storage(),
        saved=saved or SavedState(),
    )


async def test_the_calls_of_a_day_are_stored_and_known_after_a_restart(
    clock: ManualClock,
) -> None:
    store, before = Store(), SavedState({"four/daily/day": {MINUTE: 40}}, seen_at=EPOCH.timestamp())
    factory = stored(clock, store, before)
    provider = factory.build(SCARCE)
    assert provider.status().quotas[0].used == 40
    await provider.fetch(PriceQuery(), 3)
    assert provider.status().quotas[0].used == 41
    assert store.told == [{("four/daily/day", MINUTE): 1}]
    assert [repr(ledger) for ledger in factory.ledgers.values()] == ["<Ledger four/daily>"]


async def test_a_first_start_assumes_the_share_of_the_day_that_is_over(clock: ManualClock) -> None:
    store = Store()
    factory = stored(clock, store, None)
    assert factory.build(SCARCE).status().quotas[0].used == 95 // 3
    await next(iter(factory.ledgers.values())).save()
    assert sum(store.told[0].values()) == 95 // 3


async def test_calls_of_short_windows_are_stored_by_the_second(
    clock: ManualClock,
) -> None:
    store = Store()
    factory = stored(clock, store, None)
    await factory.build(SPEC).fetch(PriceQuery(), 3)
    second = EPOCH_MS // 1_000 + COUNTED_LATE_S
    assert store.told == [{("one/open/minute", second): 1}]
    known = SavedState({"one/open/minute": {second: 3}}, seen_at=EPOCH.timestamp())
    assert stored(clock, Store(), known).build(SPEC).status().quotas[0].used == 3


def answering(*answers: httpx.Response) -> Wire:
    return Wire({"a": list(answers)})


async def test_a_ban_outlives_a_restart(clock: ManualClock) -> None:
    store, wire = Store(), answering(status(418, **{"retry-after": "7200"}))
    provider = stored(clock, store, None, wire).build(SPEC)
    with pytest.raises(RateLimited):
        await provider.fetch(PriceQuery(), 3)
    kept = store.blocks["one/keyless"]
    now_s = EPOCH.timestamp()
    assert kept == SavedBlock("rate_limited", "rate_limited", now_s + 7_200, True, now_s)
    clock.advance(600)
    again, known = Store(), SavedState(blocks={"one/keyless": kept})
    provider = stored(clock, again, known, answering(price())).build(SPEC)
    assert (provider.status().status, provider.is_usable) == ("rate_limited", False)
    assert provider.retry_at == EPOCH + timedelta(seconds=7_200)
    clock.advance(6_600)
    await provider.fetch(PriceQuery(), 3)
    assert provider.status().status == "active"
    assert again.blocks == {"one/keyless": None}, "what is over is forgotten"


async def test_the_refusal_of_a_key_outlives_a_restart_and_does_not_concern_another_key(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_API_KEY", "secret-key")
    store, wire = Store(), answering(error(401, "bad_key"), error(401, "bad_key"), price())
    await stored(clock, store, None, wire).build(SPEC).fetch(PriceQuery(), 3)
    assert "x-key" not in wire.requests[-1].headers
    kept = {name: block for name, block in store.blocks.items() if block}
    assert not any("secret" in name for name in kept)

    wire = answering(price())
    provider = stored(clock, Store(), SavedState(blocks=kept), wire).build(SPEC)
    await provider.fetch(PriceQuery(), 3)
    assert "x-key" not in wire.requests[-1].headers
    assert provider.status().reason == "auth_failed"

    monkeypatch.setenv("ONE_API_KEY", "another-key")
    provider = stored(clock, Store(), SavedState(blocks=kept), wire).build(SPEC)
    await provider.fetch(PriceQuery(), 3)
    assert wire.requests[-1].headers["x-key"] == "another-key"


@pytest.mark.parametrize(
    ("answer", "is_kept"),
    [
        (status(500), False),
        (status(503, **{"retry-after": "600"}), True),
        (status(429), True),
        (status(451), True),
    ],
)
async def test_a_cooldown_of_our_own_does_not_outlive_a_restart(
    clock: ManualClock, answer: httpx.Response, is_kept: bool
) -> None:
    store = Store()
    provider = stored(clock, store, None, answering(answer)).build(SPEC)
    with pytest.raises(ProviderError):
        await provider.fetch(PriceQuery(), 3)
    assert bool(store.blocks) is is_kept


@pytest.mark.parametrize("state", ["disabled", "active", "", "no state", "probing"])
def test_a_stored_state_that_is_no_block_is_not_restored(clock: ManualClock, state: str) -> None:
    block = SavedBlock(state, "x", EPOCH.timestamp() + 60, True, EPOCH.timestamp())
    known = SavedState(blocks={"one/keyless": block})
    assert stored(clock, Store(), known).build(SPEC).is_usable


def test_a_provider_that_is_off_stays_off(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_ENABLED", "false")
    block = SavedBlock("rate_limited", "x", EPOCH.timestamp() + 60, True, EPOCH.timestamp())
    known = SavedState(blocks={"one/keyless": block})
    factory = stored(clock, Store(), known)
    assert factory.build(SPEC).status().status == "disabled"
    assert repr(factory._blocks) == "<SavedBlocks 1>"


def test_a_block_that_is_over_is_not_restored(clock: ManualClock) -> None:
    block = SavedBlock("rate_limited", "x", EPOCH.timestamp(), True, EPOCH.timestamp())
    known = SavedState(blocks={"one/keyless": block})
    assert stored(clock, Store(), known).build(SPEC).is_usable


async def test_without_a_store_a_block_ends_with_the_process(clock: ManualClock) -> None:
    wire = answering(status(429))
    provider = stored(clock, None, None, wire).build(SPEC)
    with pytest.raises(RateLimited):
        await provider.fetch(PriceQuery(), 3)
    assert provider.status().status == "rate_limited"


def test_providers_of_one_account_have_one_ledger(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TWO_API_KEY", "THREE_API_KEY"):
        monkeypatch.setenv(name, "secret-key")
    monkeypatch.setenv("TWO_LIMITS", "100/day")
    monkeypatch.setenv("THREE_LIMITS", "100/day")
    factory = stored(clock, Store(), None)
    factory.build(FIRST)
    factory.build(BACKUP)
    assert [repr(ledger) for ledger in factory.ledgers.values()] == ["<Ledger account/small>"]
