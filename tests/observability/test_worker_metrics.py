"""The metrics of all workers of a machine in one text, read as Prometheus would."""

import asyncio
import time
import zlib

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from backend.observability import worker_metrics
from backend.observability.worker_metrics import WAIT_S, WorkerMetrics, merged
from tests.cluster.fake_cluster import FakeBus, FakeNetwork
from tests.scrape import samples

ODD = 'a "quoted" {text},\\ with\nlines\u2028and process="9"'


def registry(number: int) -> CollectorRegistry:
    """One family of each kind, whose values are the number."""
    made = CollectorRegistry()
    Counter("gateway_calls", "Calls.", ("provider",), registry=made).labels("a").inc(number)
    Gauge("gateway_tasks", 'Tasks, "now"\nand here.', registry=made).set(number)
    Histogram("gateway_seconds", "Times.", buckets=(1.0,), registry=made).observe(number)
    Gauge("gateway_odd", "Odd labels.", ("text", "other"), registry=made).labels(ODD, "").set(1e-9)
    return made


def worker(
    network: FakeNetwork, number: int, *, of: int = 3, machine: str = "vm/1", linked: bool = True
) -> WorkerMetrics:
    return WorkerMetrics(
        registry(number),
        FakeBus(network, f"{machine}-{number}"),
        worker=number,
        workers=of,
        is_connected=lambda: linked,
        machine=machine,
    )


async def read(one: WorkerMetrics) -> dict[str, float]:
    return samples((await one.read()).decode())


async def test_whoever_is_scraped_answers_for_all_workers() -> None:
    network = FakeNetwork()
    workers = [worker(network, number) for number in range(3)]
    for one in workers:
        found = await read(one)
        for number in range(3):
            assert found[f"gateway_tasks{{process={number}}}"] == number
            assert found[f"gateway_calls_total{{process={number},provider=a}}"] == number
            assert found[f"gateway_seconds_sum{{process={number}}}"] == number
            assert found[f"gateway_seconds_bucket{{le=+Inf,process={number}}}"] == 1
        assert len(found) == 3 * 7


async def test_each_family_has_one_help_and_one_type_before_all_its_samples() -> None:
    network = FakeNetwork()
    one, _, _ = (worker(network, number) for number in range(3))
    text = (await one.read()).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {
        "gateway_calls": "counter",
        "gateway_tasks": "gauge",
        "gateway_seconds": "histogram",
        "gateway_odd": "gauge",
    }
    assert families["gateway_tasks"].documentation == 'Tasks, "now"\nand here.'
    assert text.count("# HELP") == text.count("# TYPE") == 4
    odd = families["gateway_odd"].samples
    assert [(sample.labels["text"], sample.value) for sample in odd] == [(ODD, 1e-9)] * 3


def test_the_text_of_one_worker_is_complete_with_its_number() -> None:
    plain = samples(generate_latest(registry(2)).decode())
    found = samples(merged({2: generate_latest(registry(2)).decode()}))
    assert sorted(found.values()) == sorted(plain.values())
    assert all("process=2" in series for series in found)


async def test_workers_of_other_machines_and_supervisors_are_left_out() -> None:
    network = FakeNetwork()
    one, _ = worker(network, 0, of=2), worker(network, 1, of=2)
    for machine in ("vm/2", "other/1"):
        worker(network, 1, of=2, machine=machine)
    found = await read(one)
    assert len(found) == 2 * 7


@pytest.mark.looptime
async def test_a_worker_that_does_not_answer_is_waited_for_no_longer_than_the_time_limit() -> None:
    network = FakeNetwork()
    one, _ = worker(network, 0), worker(network, 1)
    began = asyncio.get_running_loop().time()
    found = await read(one)
    assert asyncio.get_running_loop().time() - began == pytest.approx(WAIT_S)
    assert {series for series in found if "gateway_tasks" in series} == {
        "gateway_tasks{process=0}",
        "gateway_tasks{process=1}",
    }
    assert one._scrapes == {}


async def test_without_the_store_a_worker_answers_for_itself_at_once() -> None:
    network = FakeNetwork()
    one, _ = worker(network, 0, linked=False), worker(network, 1)
    found = await read(one)
    assert {series.partition("process=")[2][:1] for series in found} == {"0"}
    assert network.sent == []


async def test_scrapes_at_the_same_time_each_get_all_workers() -> None:
    network = FakeNetwork()
    workers = [worker(network, number) for number in range(3)]
    texts = await asyncio.gather(*(one.read() for one in workers for _ in range(5)))
    assert {len(samples(text.decode())) for text in texts} == {3 * 7}


HEAD = b'{"machine": "vm/1", "worker": 1, "question": "0-1"}\n'


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"junk",
        b'{"machine": "vm/1", "worker": 64, "question": "0-1"}\nx',
        b'{"machine": "vm/1", "worker": "one", "question": "0-1"}\nx',
        b'{"machine": "vm/1", "worker": 1, "question": {}}\nx',
        HEAD + b"not packed",
        HEAD + zlib.compress(b"\xff"),
        HEAD + zlib.compress(b"x")[:-2],
        HEAD + zlib.compress(bytes(worker_metrics.MOST_BYTES + 1)),
    ],
    ids=["empty", "junk", "number", "type", "question", "packed", "utf-8", "cut", "large"],
)
@pytest.mark.looptime
async def test_a_malformed_answer_is_dropped_and_counted(message: bytes) -> None:
    network = FakeNetwork()
    one = worker(network, 0, of=2)
    FakeBus(network, "odd").subscribe(
        "metrics", lambda _sender, _message: network.send("odd", "metrics", message)
    )
    found = await read(one)
    assert len(found) == 7
    assert one.malformed == 1


@pytest.mark.parametrize(
    "line",
    [
        "gateway_tasks",
        "gateway_tasks one",
        'gateway_tasks{a="b} 1',
        'gateway_tasks{a="b" 1',
        'gateway_tasks{a="b"c="d"} 1',
        "gateway_tasks{} 1",
        "other_tasks 1",
        "# EOF",
        "# TYPE other_tasks",
        "gateway_tasks 1 1700000000",
    ],
)
def test_lines_that_are_not_of_the_format_are_left_out(line: str) -> None:
    own = "# HELP gateway_tasks Tasks.\n# TYPE gateway_tasks gauge\ngateway_tasks 1.0\n"
    other = own.replace("1.0", "2.0") + line + "\n"
    assert samples(merged({0: own, 1: other})) == {
        "gateway_tasks{process=0}": 1.0,
        "gateway_tasks{process=1}": 2.0,
    }


def test_of_a_family_with_another_type_only_the_first_workers_samples_are_shown() -> None:
    own = "# HELP gateway_tasks Tasks.\n# TYPE gateway_tasks gauge\ngateway_tasks 1.0\n"
    other = own.replace("gauge", "counter")
    assert samples(merged({0: own, 1: other})) == {"gateway_tasks{process=0}": 1.0}


def test_a_text_of_thousands_of_lines_is_merged_quickly() -> None:
    lines = [f'gateway_tasks{{a="{number}",b="{"x" * 40}"}} {number}.0' for number in range(5_000)]
    text = "\n".join(["# HELP gateway_tasks T.", "# TYPE gateway_tasks gauge", *lines, ""])
    began = time.process_time()
    assert merged({0: text}).count("\n") == 5_002
    assert time.process_time() - began < 0.5  # takes 0.02 s


def test_a_line_made_to_be_slow_is_not() -> None:
    head = "# HELP gateway_tasks T.\n# TYPE gateway_tasks gauge\n"
    began = time.process_time()
    for evil in ('gateway_tasks{a="' + "\\" * 99_999, "gateway_tasks{" + 'a="b",' * 20_000):
        assert merged({0: head + evil}) == head
    assert time.process_time() - began < 1.0
