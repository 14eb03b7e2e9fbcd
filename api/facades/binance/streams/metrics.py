"""Metrics of Binance's streams: clients, frames, and the connection to Binance."""

from collections.abc import Iterable
from typing import get_args

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.facades.binance.streams.hub import StreamHub
from backend.models.ticks import TickState
from backend.observability.metrics import counter, gauge


class RawStreamMetrics(Collector):
    def __init__(self, hub: StreamHub) -> None:
        self._hub = hub

    def collect(self) -> Iterable[Metric]:
        counts, (vendor, state) = self._hub.counters(), self._hub.upstream
        for make, name, text, value in (
            (gauge, "raw_stream_clients", "Clients of the raw streams.", counts.clients),
            (gauge, "raw_streams", "Streams that clients read.", self._hub.stream_count),
            (
                counter,
                "raw_stream_messages_sent",
                "Frames and replies sent to clients of the raw streams.",
                counts.messages_sent,
            ),
            (
                counter,
                "raw_stream_clients_closed",
                "Clients of the raw streams that were closed because they did not read.",
                counts.dropped,
            ),
        ):
            yield make(name, text, (), {(): value})
        yield gauge(
            "raw_stream_state",
            "1 for the current state of the connection to the vendor, 0 for all others.",
            ("provider", "state"),
            {(vendor, each): float(each == state) for each in get_args(TickState)},
        )
