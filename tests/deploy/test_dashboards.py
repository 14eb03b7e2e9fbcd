"""The dashboards can be imported, and their queries name metrics that real gateways have."""

import asyncio
import json
import re
import shutil
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.servers import free_port
from tests.deploy.dashboards import (
    DASHBOARDS,
    OF_PROMETHEUS,
    dashboard,
    grouped_labels,
    selectors,
    targets,
    with_range,
)
from tests.deploy.documents import text_of
from tests.deploy.monitored import alone, in_cluster
from tests.life.process import Gateway

QUERIES = [target["expr"] for _, target in targets("grafana-dashboard.json")]
#: Metrics that no panel shows: they explain a fault, and are read when there is one.
LEFT_OUT = {
    f"gateway_{name}"
    for name in (
        *("call_retries_total", "readers_joined_total", "provider_call_seconds_sum"),
        *("tick_feed_falls_total", "raw_stream_falls_total", "raw_stream_clients_closed_total"),
        *("raw_streams", "cluster_fenced_total", "cluster_link_up", "cluster_term"),
        *("cluster_sent_bytes_total", "cluster_received_bytes_total", "cluster_share_calls_total"),
        *("process_max_fds", "process_start_time_seconds", "process_virtual_memory_bytes"),
    )
}
OpenGateway = Callable[[Path], AbstractAsyncContextManager[Gateway]]
#: Of each metric's series, their labels.
Series = dict[str, list[dict[str, str]]]


def test_the_dashboards_are_the_two_of_the_page() -> None:
    assert DASHBOARDS == ("grafana-dashboard.json", "grafana-market.json")
    for name in DASHBOARDS:
        assert f"({name})" in text_of("README.md")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_can_be_imported(name: str) -> None:
    found = dashboard(name)
    assert re.fullmatch(r"[\w-]{1,40}", found["uid"])
    assert found["schemaVersion"] >= 36  # data sources by type and uid
    assert found.get("id") is None
    assert {"__inputs", "__requires", "title", "time", "templating"} <= set(found)
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in found["panels"]:
        assert panel["title"]
        assert panel["type"] == "row" or (panel["description"] and panel["targets"])
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_lie_side_by_side_and_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(name)["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_and_data_source_is_declared(name: str) -> None:
    """A data source is chosen at the import or on the page, never named."""
    found = dashboard(name)
    inputs = {one["name"] for one in found["__inputs"]}
    declared = inputs | {one["name"] for one in found["templating"]["list"]}
    text = json.dumps({part: value for part, value in found.items() if part != "__inputs"})
    used = set(re.findall(r"\$\{(\w+)", text)) | set(re.findall(r"\$([a-z]\w*)", text))
    assert {one for one in used if not one.startswith("__")} <= declared
    assert inputs <= used
    sources = [panel["datasource"]["uid"] for panel in found["panels"] if "datasource" in panel]
    assert set(sources) <= {"${datasource}", "${DS_INFINITY}"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_dashboard_names_a_foreign_host(name: str) -> None:
    hosts = re.findall(r"[a-z]+://([^/\"$]+)", json.dumps(dashboard(name)))
    assert set(hosts) <= {"localhost:7860"}


def test_the_reader_of_queries_overlooks_nothing() -> None:
    query = 'sum by (route) (rate(gateway_a_total{job=~"$job",x!~"b}|c"}[1m])) / on (x) gateway_b{}'
    first, second = selectors(with_range(query))
    assert (first.metric, second.metric) == ("gateway_a_total", "gateway_b")
    of_job, of_x = first.matchers
    assert (of_job.accepts("gateway"), of_job.value) == (True, ".*")
    assert [of_x.accepts(value) for value in ("b}", "c", "cc", "")] == [False, False, True, True]
    assert grouped_labels(query) == {"route", "x"}
    with pytest.raises(AssertionError):
        selectors("rate(gateway_a_total[1m])")


def series_of(text: str) -> Series:
    found: Series = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """Of a process alone, and of a cluster."""
    found: Series = defaultdict(list)
    for opened in (alone, in_cluster):
        text = asyncio.run(metrics_of(opened, tmp_path_factory.mktemp("gateway")))
        for metric, labels in series_of(text).items():
            found[metric] += labels
    return found


async def metrics_of(opened: OpenGateway, folder: Path) -> str:
    async with opened(folder) as gateway:
        return (await gateway.client.get("/metrics")).text


def test_every_query_selects_series_that_gateways_have(series: Series) -> None:
    for query in QUERIES:
        labels = set()
        for one in selectors(with_range(query)):
            known = series[one.metric]
            assert known, one.metric
            own = {label for each in known for label in each}
            labels |= own
            matchers = [each for each in one.matchers if each.label not in OF_PROMETHEUS]
            assert {each.label for each in matchers} <= own, query
            selected = [
                each
                for each in known
                if all(matcher.accepts(each.get(matcher.label, "")) for matcher in matchers)
            ]
            assert selected, (query, one)
        made = set(re.findall(r'label_replace\(.*?, "(\w+)", "\$1"', query))
        assert grouped_labels(query) <= labels | made | OF_PROMETHEUS, query


def test_every_metric_is_shown_or_left_out_on_purpose(series: Series) -> None:
    shown = {one.metric for query in QUERIES for one in selectors(with_range(query))}
    assert not shown & LEFT_OUT
    assert set(series) - shown <= LEFT_OUT


@pytest.fixture
def prometheus() -> str:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    return program


@asynccontextmanager
async def scraping(program: str, folder: Path, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A Prometheus that scrapes a gateway every second."""
    own, config = free_port(), folder / "prometheus.yml"
    scrape = {"job_name": "gateway", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    interval = {"scrape_interval": "1s"}
    config.write_text(json.dumps({"global": interval, "scrape_configs": [scrape]}))
    options = (f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}")
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program, *options, f"--web.listen-address=127.0.0.1:{own}", stdout=log, stderr=log
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{own}/api/v1/") as client:
                yield client
        finally:
            process.terminate()
            await process.wait()


async def result_of(client: httpx.AsyncClient, query: str) -> list[Any]:
    answer = (await client.get("query", params={"query": query})).json()
    assert answer["status"] == "success", (query, answer)
    assert not answer.get("warnings"), (query, answer)
    found: list[Any] = answer["data"]["result"]
    return found


async def until_scraped(client: httpx.AsyncClient, times: int) -> None:
    query = 'count_over_time(gateway_asyncio_tasks{job="gateway"}[10m])'
    async with asyncio.timeout(30):
        while True:
            try:
                found = await result_of(client, query)
            except httpx.TransportError:  # it starts
                found = []
            if found and int(found[0]["value"][1]) >= times:
                return
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("opened", "of_the_other"),
    [(alone, "gateway_cluster_"), (in_cluster, "_stream|gateway_tick_feed")],
    ids=["alone", "in a cluster"],
)
async def test_prometheus_answers_every_query(
    opened: OpenGateway, of_the_other: str, prometheus: str, tmp_path: Path
) -> None:
    """Only queries that show what is above zero are empty, and those of the other gateway."""
    async with opened(tmp_path) as gateway, scraping(prometheus, tmp_path, gateway.port) as client:
        await until_scraped(client, 2)
        await gateway.client.get("/api/market")
        await until_scraped(client, 4)
        for query in QUERIES:
            found = await result_of(client, with_range(query))
            assert found or query.endswith("> 0") or re.search(of_the_other, query), query
