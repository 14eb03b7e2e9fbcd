"""Writes events to the three JSON-lines logs of the contract, and outages to the console too."""

import json
import logging
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from backend.events import (
    CallRetried,
    Event,
    ProviderCalled,
    ProviderStateChanged,
    RawStreamsChanged,
    RefreshFailing,
    TickFeedChanged,
)
from backend.models.pass_through import PassThroughQuery
from backend.models.status import ProviderChosen
from backend.observability.log_files import CONSOLE, FILES


class EventLog:
    """The event sink of the logs. A line is a JSON object with `event`, `at` and the fields."""

    def __init__(self) -> None:
        self._rotation, self._failures, self._health = map(_json_logger, FILES)

    def __call__(self, event: Event) -> None:
        match event:
            case ProviderChosen():
                self._rotation.info(
                    "provider.chosen" if event.provider else "provider.none_left",
                    at=event.at,
                    category=event.category,
                    chosen=event.provider,
                    reason=event.reason,
                    passed_over=[
                        {"provider": each.provider, "reason": each.reason, "until": each.until}
                        for each in event.passed_over
                    ],
                )
            case ProviderCalled():
                self._log_call(event)
            case CallRetried():
                self._failures.info("call.retried", **asdict(event), retry_at=None)
            case ProviderStateChanged():
                self._health.info("provider.state_changed", **asdict(event))
            case RefreshFailing() | TickFeedChanged() | RawStreamsChanged():
                self._log_outage(event)

    def _log_call(self, event: ProviderCalled) -> None:
        call = {"at": event.at, "provider": event.provider, "category": event.category}
        self._health.info(
            "provider.called",
            **call,
            outcome=event.outcome,
            latency_ms=round(event.latency_ms, 1),
            success_rate=event.success_rate,
        )
        if event.outcome != "ok":
            self._failures.info(
                "provider.failed",
                **call,
                reason=event.outcome,
                status=event.http_status,
                detail=event.detail,
                retry_at=event.retry_at,
            )

    def _log_outage(self, event: RefreshFailing | TickFeedChanged | RawStreamsChanged) -> None:
        match event:
            case RefreshFailing(reason=None):
                name = "refresh.recovered"
                CONSOLE.log(_level(event, logging.INFO), "refresh of %s recovered", event.subject)
            case RefreshFailing():
                name = "refresh.failed"
                level = _level(event, logging.WARNING)
                CONSOLE.log(level, "refresh of %s failing: %s", event.subject, event.reason)
            case TickFeedChanged(reason=None):
                name = "ticks.recovered"
                CONSOLE.info("tick stream of %s recovered", event.provider)
            case TickFeedChanged():
                name = "ticks.lost"
                CONSOLE.warning("tick stream of %s lost: %s", event.provider, event.reason)
            case RawStreamsChanged(reason=None):
                name = "raw_streams.recovered"
                CONSOLE.info("raw streams of %s recovered", event.provider)
            case RawStreamsChanged():
                name = "raw_streams.lost"
                CONSOLE.warning("raw streams of %s lost: %s", event.provider, event.reason)
        self._health.info(name, **asdict(event))


def _level(event: RefreshFailing, level: int) -> int:
    """Readers choose the questions that are passed through: many may fail, and none is an outage.
    What their provider does is in the files."""
    return logging.DEBUG if event.category == PassThroughQuery.category else level


def _json_logger(file: str) -> structlog.stdlib.BoundLogger:
    logger = logging.getLogger(file)
    logger.setLevel(logging.INFO)  # LOG_LEVEL applies to the console only
    wrapped: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logger,
        processors=[structlog.processors.JSONRenderer(serializer=_json)],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return wrapped


def _json(line: dict[str, Any], **_options: Any) -> str:
    try:
        return orjson.dumps(line, _plain, orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:  # half of a surrogate pair in a provider's text
        return json.dumps(line, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)
