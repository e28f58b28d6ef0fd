"""Dashboard and alerts speak of metrics that there are, with labels that they have."""

import json
import re

import pytest
from prometheus_client import REGISTRY

import services.generator.metrics
import services.trainer.metrics  # noqa: F401 - registers its own
from archloop import metrics  # noqa: F401 - likewise
from archloop.bus.consumer import End
from archloop.contracts.topology import QUEUES, SENDERS
from archloop.contracts.values import Outcome, SandboxLevel
from tests.unit.k8s.manifests import SERVICES, named, of_kind, pods, rendered

# Of DCGM's exporter and of kube-state-metrics.
FOREIGN = {
    "DCGM_FI_DEV_GPU_UTIL", "kube_pod_init_container_status_restarts_total", "kube_cronjob_created",
    "kube_cronjob_status_last_successful_time", "kube_job_status_failed",
}  # fmt: skip
ADDED = {"namespace", "pod", "gpu", "container", "le", "cronjob", "job_name"}  # by Prometheus, exporters and histograms
VALUES = {
    "queue": {queue.name for queue in QUEUES},
    "end": set(End.__args__),
    "outcome": set(Outcome),
    "level": set(SandboxLevel),
}
NAME = re.compile(r"\b(archloop_\w+|DCGM_\w+|kube_\w+)")
MATCHER = re.compile(r'(\w+)(=~|!=|=)"([^"$]+)"')


def exported():
    """Names of series, and the labels that each has."""
    return {name: set(getattr(each, "_labelnames", ())) for name, each in REGISTRY._names_to_collectors.items()}


def expressions(objects):
    panels = json.loads(named(objects, "ConfigMap", "archloop-dashboard")["data"]["dashboard.json"])["panels"]
    rules = named(objects, "PrometheusRule", "archloop")["spec"]["groups"][0]["rules"]
    assert panels
    assert rules
    drawn = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
    return [*drawn, *((rule["alert"], rule["expr"]) for rule in rules)]


@pytest.fixture
def objects(scratch):
    return rendered("overlays/prod", scratch)


def test_every_metric_is_exported(objects):
    known = exported().keys() | FOREIGN
    for title, expression in expressions(objects):
        names = set(NAME.findall(expression))
        assert names, title
        assert names <= known, title


def test_every_label_is_one_that_the_metric_has(objects):
    labels = exported()
    for title, expression in expressions(objects):
        allowed = ADDED.union(*(labels.get(name, set()) for name in NAME.findall(expression)))
        asked = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
        assert asked | {label for label, _, _ in MATCHER.findall(expression)} <= allowed, title


def test_every_value_of_a_label_is_one_that_occurs(objects):
    for title, expression in expressions(objects):
        for label, operator, value in MATCHER.findall(expression):
            if label == "type":
                assert any(re.fullmatch(value, key) for key in SENDERS), title
            elif label in VALUES and operator != "=~":
                assert value in VALUES[label], title


def test_brackets_are_closed(objects):
    for title, expression in expressions(objects):
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), title


def test_what_matters_has_an_alert(objects):
    rules = named(objects, "PrometheusRule", "archloop")["spec"]["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} >= {
        "ArchloopParked", "ArchloopNoProgress", "ArchloopSandboxLowered", "ArchloopEvaluatorsIdle",
        "ArchloopBackupMissing", "ArchloopBackupFailed",
    }  # fmt: skip
    for rule in rules:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_no_alert_looks_further_back_than_it_waits(objects):
    """After a restart, or a night without work, nothing has been handled yet: it waits as long as it looks back."""
    found = 0
    for rule in named(objects, "PrometheusRule", "archloop")["spec"]["groups"][0]["rules"]:
        if absent := re.search(r"unless .*increase\(\w+(?:\{.*?\})?\[(\d+)m\]", rule["expr"], re.DOTALL):
            found += 1
            assert rule["for"] == f"{absent[1]}m", rule["alert"]
    assert found == 2


def test_prometheus_of_the_usual_chart_takes_both(objects):
    taken = of_kind(objects, "PodMonitor", "PrometheusRule")
    assert {each["kind"]: each["metadata"]["labels"]["release"] for each in taken} == {
        "PodMonitor": "kube-prometheus-stack",
        "PrometheusRule": "kube-prometheus-stack",
    }


def test_the_services_are_scraped_at_the_port_that_they_have(objects):
    monitor = of_kind(objects, "PodMonitor")[0]["spec"]
    assert set(monitor["selector"]["matchExpressions"][0]["values"]) == set(SERVICES)
    for pod in pods(objects):
        if pod.labels.get("app.kubernetes.io/name") in SERVICES:
            ports = {port["name"] for container in pod.spec["containers"] for port in container["ports"]}
            assert monitor["podMetricsEndpoints"][0]["port"] in ports


def test_panels_do_not_overlap(objects):
    dashboard = json.loads(named(objects, "ConfigMap", "archloop-dashboard")["data"]["dashboard.json"])
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
