"""From events to log lines: the three JSON-lines logs of the contract, a word on the console."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from backend.events import (
    CallRetried,
    Event,
    ProviderCalled,
    ProviderStateChanged,
    RefreshFailing,
    TickFeedChanged,
)
from backend.models.status import ProviderChosen, Refusal

ROTATION, FAILURES, HEALTH = "provider_rotation", "provider_failures", "provider_health"
FILES = (ROTATION, FAILURES, HEALTH)
CONSOLE = logging.getLogger("gateway")


class EventLog:
    """The sink that turns events into log lines."""

    def __init__(self) -> None:
        self._loggers = {name: _json_logger(name) for name in FILES}

    def __call__(self, event: Event) -> None:
        match event:
            case ProviderChosen():
                self._chosen(event)
            case ProviderCalled():
                self._called(event)
            case CallRetried():
                self._retried(event)
            case ProviderStateChanged():
                self._state_changed(event)
            case RefreshFailing():
                self._tell(event)
                name = "refresh.failed" if event.reason else "refresh.recovered"
                about = {"category": event.category, "subject": event.subject}
                self._write(HEALTH, name, event.at, **about, reason=event.reason)
            case TickFeedChanged():
                self._ticks_changed(event)

    def _tell(self, event: RefreshFailing) -> None:
        """Once down and once back on the console, too."""
        if event.reason:
            CONSOLE.warning("%s can't be refreshed: %s", event.subject, event.reason)
        else:
            CONSOLE.info("%s is refreshed again", event.subject)

    def _chosen(self, event: ProviderChosen) -> None:
        passed_over = [_passed_over(passed) for passed in event.passed_over]
        self._write(
            ROTATION,
            "provider.chosen" if event.provider else "provider.none_left",
            event.at,
            category=event.category,
            chosen=event.provider,
            reason=event.reason,
            passed_over=passed_over,
        )

    def _called(self, event: ProviderCalled) -> None:
        self._write(
            HEALTH,
            "provider.called",
            event.at,
            provider=event.provider,
            category=event.category,
            outcome=event.outcome,
            latency_ms=round(event.latency_ms, 1),
            success_rate=event.success_rate,
        )
        if event.outcome != "ok":
            self._write(
                FAILURES,
                "provider.failed",
                event.at,
                provider=event.provider,
                category=event.category,
                reason=event.outcome,
                status=event.http_status,
                detail=event.detail,
                retry_at=_iso(event.retry_at),
            )

    def _retried(self, event: CallRetried) -> None:
        self._write(
            FAILURES,
            "call.retried",
            event.at,
            provider=event.provider,
            reason=event.reason,
            status=event.http_status,
            how=event.how,
            retry_at=None,
        )

    def _state_changed(self, event: ProviderStateChanged) -> None:
        self._write(
            HEALTH,
            "provider.state_changed",
            event.at,
            provider=event.provider,
            was=event.was,
            now=event.now,
            reason=event.reason,
            until=_iso(event.until),
        )

    def _ticks_changed(self, event: TickFeedChanged) -> None:
        if event.reason:
            CONSOLE.warning("no ticks from %s: %s", event.provider, event.reason)
        else:
            CONSOLE.info("ticks from %s come in", event.provider)
        self._write(
            HEALTH,
            "ticks.lost" if event.reason else "ticks.recovered",
            event.at,
            provider=event.provider,
            reason=event.reason,
            retry_at=_iso(event.retry_at),
        )

    def _write(self, file: str, name: str, at: datetime, **fields: Any) -> None:
        self._loggers[file].info(name, at=_iso(at), **fields)


def _json_logger(name: str) -> Any:
    logging.getLogger(name).setLevel(logging.INFO)  # LOG_LEVEL is for the console, not for these
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _serialize(fields: dict[str, Any], **_options: Any) -> str:
    try:
        return orjson.dumps(fields, default=str).decode()
    except TypeError:  # half of a surrogate pair in a provider's text
        return json.dumps(fields, default=str)


def _passed_over(passed: Refusal) -> dict[str, str | None]:
    return {"provider": passed.provider, "reason": passed.reason, "until": _iso(passed.until)}


def _iso(at: datetime | None) -> str | None:
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
