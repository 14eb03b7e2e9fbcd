"""Builds providers from the registry and the user's settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil

from pydantic import SecretStr

from backend.clock import Clock
from backend.environment import SettingsError
from backend.environment.forms import CallLimit
from backend.environment.problem_lines import but_not
from backend.events import EventSink
from backend.models.status import ProviderState
from backend.orchestration.calls.endpoint import Credential, Endpoint, Hosts
from backend.orchestration.health.circuit_breaker import Block, CircuitBreaker
from backend.orchestration.health.saved_blocks import SavedBlocks, block_key
from backend.orchestration.limits.cluster_guard import ClusterGuard, ClusterLimits
from backend.orchestration.limits.ledger import Guard, Ledger, saved_usage
from backend.orchestration.limits.paced_window import UsageHistory
from backend.orchestration.limits.rate_limit_guard import RateLimitGuard
from backend.orchestration.limits.sliding_window import COUNTED_LATE_S
from backend.orchestration.provider import Provider
from backend.orchestration.provider_manager import ProviderManager
from backend.providers.adapter import Plan, ProviderSpec, Window
from backend.providers.client import ProviderClient
from backend.settings import Configuration, ProviderSettings
from backend.storage.contract import SavedState, Storage

#: A probe's lease expires this long after the time-out of its attempt, in seconds.
LEASE_SLACK_S = 1.0
#: The part of a daily or monthly budget for calls that are passed through.
PASS_THROUGH_PART = 0.05


@dataclass(eq=False, repr=False)
class ProviderFactory:
    """Builds each provider once. Providers of one account share its guard.

    `store` saves calls and blocks; `saved` are those of earlier runs.
    """

    configuration: Configuration
    client: ProviderClient
    clock: Clock
    emit: EventSink
    jitter: Callable[[], float]
    redact: Callable[[str], str]
    store: Storage = field(default_factory=Storage)
    saved: SavedState = field(default_factory=SavedState)
    #: None for a process that is the whole gateway.
    shared: ClusterLimits | None = None
    #: By account and plan.
    ledgers: dict[str, Ledger] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._blocks = SavedBlocks(self.store, self.saved.blocks, self.clock)
        #: What a block of that name blocks.
        self._blocked: list[tuple[str, Callable[[Block], None]]] = []

    def restore(self, saved: SavedState, *, log_is_complete: bool) -> dict[tuple[str, int], int]:
        """Replaces what the limits of all processes count, and adds blocks, as a process becomes
        the leader. Returns the calls that are assumed to have been made, by window and tick.

        Without a complete log the short windows count as used up, and the long ones as used evenly
        since `saved.seen_at`.
        """
        assumed: dict[tuple[str, int], int] = {}
        for name, ledger in self.ledgers.items():
            if not isinstance(ledger.guard, ClusterGuard):
                continue
            pool = ledger.guard.pool
            pool.restore(partial(saved_usage, saved, name, is_new_key=ledger.is_new_key))
            if not log_is_complete:
                pool.assume_short_used()
            unsaved = pool.unsaved().items()
            assumed |= {(f"{name}/{window}", tick): n for (window, tick), n in unsaved}
        self._blocks.add(saved.blocks)
        for name, restore in self._blocked:
            if block := self._blocks.recall(name):
                restore(block)
        return assumed

    def manager(self, specs: Sequence[ProviderSpec]) -> ProviderManager:
        return ProviderManager(
            [self.build(spec) for spec in specs],
            clock=self.clock,
            emit=self.emit,
            deadline_s=self.configuration.gateway.request_deadline,
            attempt_timeout_s=self.configuration.gateway.provider_timeout,
        )

    def build(self, spec: ProviderSpec) -> Provider:
        """Switched off where the settings say so, or where a required key is missing."""
        settings = self.configuration.providers[spec.name]
        key = settings.api_key
        plan = keyed_plan(spec, settings.plan)
        keyed = self._endpoint(spec, plan, settings, key) if plan and key else None
        # The user's limits are those of the plan in use, not of the keyless fallback.
        fallback = settings.model_copy(update={"limits": ()}) if keyed else settings
        keyless = self._endpoint(spec, spec.keyless, fallback, None) if spec.keyless else None
        state = ProviderState.ACTIVE if keyed or keyless else ProviderState.NOT_CONFIGURED
        breaker = self._breaker(state if settings.enabled else ProviderState.DISABLED)
        name = block_key(spec.name, key if keyed else None)
        if block := self._blocks.recall(name):
            breaker.restore(block)
        self._blocked.append((name, breaker.restore))
        return Provider(
            spec,
            keyed=keyed,
            keyless=keyless,
            breaker=breaker,
            clock=self.clock,
            emit=self.emit,
            redact=self.redact,
            on_block=partial(self._blocks.save, name),
        )

    def _endpoint(
        self, spec: ProviderSpec, plan: Plan, settings: ProviderSettings, key: SecretStr | None
    ) -> Endpoint:
        ledger = self._ledger(spec, plan, settings)
        return Endpoint(
            spec.adapter,
            plan,
            hosts=Hosts(self.clock, settings.base_url or plan.base_urls),
            guard=ledger.guard,
            ledger=ledger,
            credential=self._credential(spec, key) if key else None,
            client=self.client,
            clock=self.clock,
        )

    def _credential(self, spec: ProviderSpec, key: SecretStr) -> Credential:
        name = f"{block_key(spec.name, key)}/key"
        block = self._blocks.recall(name)

        def save(until: float) -> None:
            state = ProviderState.AUTH_FAILED
            self._blocks.save(name, Block(state, state, until, is_provider_set=False))

        until = block.until if block else 0.0
        credential = Credential(self.clock, key, refused_until=until, on_refused=save)
        self._blocked.append((name, lambda block: credential.restore(block.until)))
        return credential

    def _ledger(self, spec: ProviderSpec, plan: Plan, settings: ProviderSettings) -> Ledger:
        """That of the account, which several providers may share."""
        shares = spec.ledger is not None and settings.shares_account
        name = f"{spec.ledger if shares else spec.name}/{plan.name}"
        if name not in self.ledgers:
            windows = _windows(plan, settings.limits)
            passed = spec.adapter.vendor in self.configuration.gateway.facades
            is_new_key = settings.key_is_new and plan.auth is not None
            history = partial(saved_usage, self.saved, name, is_new_key=is_new_key)
            guard = self._guard(history, windows, PASS_THROUGH_PART if passed else 0.0)
            self.ledgers[name] = Ledger(name, guard, self.store, self.clock, is_new_key=is_new_key)
        return self.ledgers[name]

    def _guard(
        self, history: Callable[[str], UsageHistory], windows: Sequence[Window], passed: float
    ) -> Guard:
        """`passed`: the part of budgets for calls that are passed through."""
        late_s = max(COUNTED_LATE_S, ceil(self.configuration.gateway.provider_timeout) + 1)
        if self.shared is None:
            return RateLimitGuard(
                self.clock, windows, history, late_s=late_s, pass_through_part=passed
            )
        return ClusterGuard(
            self.clock,
            windows,
            history,
            self.shared,
            share_is_known=bool(self.saved.calls.get(self.shared.mark)),
            late_s=late_s,
            pass_through_part=passed,
        )

    def _breaker(self, state: ProviderState) -> CircuitBreaker:
        settings = self.configuration.gateway
        return CircuitBreaker(
            self.clock,
            cooldown_s=settings.cooldown,
            cooldown_max_s=settings.cooldown_max,
            lease_s=settings.provider_timeout + LEASE_SLACK_S,
            jitter=self.jitter,
            state=state,
        )


def keyed_plan(spec: ProviderSpec, name: str) -> Plan | None:
    """The plan that `<NAME>_PLAN` names, or the first. Raises SettingsError if it is unknown."""
    plans = [plan for plan in (spec.keyed, *spec.other_plans) if plan is not None]
    if not name:
        return spec.keyed
    for plan in plans:
        if plan.name == name:
            return plan
    known = ", ".join(plan.name for plan in plans)
    allowed = f"must be one of {known}" if known else "must be empty: the provider has no plans"
    raise SettingsError(f"{spec.name.upper()}_PLAN: {allowed}{but_not(name)}")


def _windows(plan: Plan, limits: Sequence[CallLimit]) -> tuple[Window, ...]:
    """The plan's windows, or the user's, counted as the plan counts windows of that period."""
    if not limits:
        return plan.windows
    declared = {window.period_s: window for window in plan.windows}
    return tuple(
        replace(declared.get(own.period_s, Window(own.limit, own.period_s)), limit=own.limit)
        for own in limits
    )
