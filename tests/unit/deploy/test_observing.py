"""What the how-to on observing has people set, held against what compose reads and what ships."""

import re
import tomllib

from tests.support import shell_of
from tests.unit.deploy.test_compose import OBSERVERS, ROOT, SERVICES

PAGE = ROOT / "docs/how-to/observe.md"
SCRIPT = shell_of(PAGE)[-1]
SET = dict(re.findall(r"^echo (\w+)=(\S+) >> \.env$", SCRIPT, re.MULTILINE))
COMPOSE = (ROOT / "compose.yaml").read_text()


def test_the_profiles_are_compose_s_own():
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", ())}
    chosen = SET["COMPOSE_PROFILES"].split(",")
    assert chosen == ["cpu", "observe"]
    assert set(chosen) <= profiles


def test_what_is_set_is_read_and_is_no_default():
    read = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE))
    own = {name: value for name, value in SET.items() if name != "COMPOSE_PROFILES"}
    assert own.keys() == {"ARCHLOOP_METRICS_HOST", "ARCHLOOP_TRACES_ENDPOINT"}
    assert own.keys() <= read.keys()
    assert {name for name in own if own[name] == read[name]} == set()


def test_traces_go_to_where_the_viewer_takes_them():
    host, port = re.fullmatch(r"http://(\w+):(\d+)", SET["ARCHLOOP_TRACES_ENDPOINT"]).groups()
    assert host in OBSERVERS
    assert port == "4318", "OTLP over HTTP, which the viewer takes unless told otherwise"


def test_the_ports_that_are_named_are_those_that_are_published_to_this_machine_only():
    named = {"grafana": "3000", "prometheus": "9090", "jaeger": "16686"}
    published = {name: SERVICES[name]["ports"][0].rpartition(":")[0] for name in named}
    assert published == {n: f"127.0.0.1:${{ARCHLOOP_{n.upper()}_PORT:-{port}}}" for n, port in named.items()}
    words = {*named.values(), *(f"ARCHLOOP_{name.upper()}_PORT" for name in named)}
    assert {word for word in words if word not in PAGE.read_text()} == set()


def test_the_extras_that_are_installed_ship():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (asked,) = re.findall(r"pip install 'archloop\[([\w,]+)\]'", SCRIPT)
    assert set(asked.split(",")) <= extras.keys()
