"""What compose.yaml promises, service by service."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from archloop.ops.settings import ServiceSettings
from archloop_cli import environment
from services.evaluator.settings import EvaluatorSettings
from services.generator.settings import GeneratorSettings
from services.novelty.settings import NoveltySettings
from services.registry.settings import RegistrySettings
from services.trainer.settings import TrainerSettings

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = (
    "registry",
    "generator",
    "generator-gpu",
    "modelserver",
    "evaluator",
    "evaluator-gpu",
    "novelty",
    "trainer",
    "trainer-gpu",
)
NETWORKS = {
    "rabbitmq": {"messages", "evaluation"},
    "mongo": {"documents"},
    "minio": {"objects"},
    "registry": {"edge", "evaluation", "messages", "objects", "documents"},
    "generator": {"messages", "objects", "models"},
    "generator-gpu": {"messages", "objects", "models"},
    "modelserver": {"models"},
    "vllm": {"models"},
    "evaluator": {"evaluation"},
    "evaluator-gpu": {"evaluation"},
    "novelty": {"messages", "objects"},
    "trainer": {"messages", "objects"},
    "trainer-gpu": {"messages", "objects"},
    "prometheus": {"edge", "observation", "messages", "evaluation"},
    "jaeger": {"edge", "observation", "messages", "evaluation"},
    "grafana": {"edge", "observation"},
}
OBSERVERS = [name for name, service in SERVICES.items() if service.get("profiles") == ["observe"]]
SETTINGS: dict[str, type[ServiceSettings]] = {
    "registry": RegistrySettings,
    "generator": GeneratorSettings,
    "generator-gpu": GeneratorSettings,
    "evaluator": EvaluatorSettings,
    "evaluator-gpu": EvaluatorSettings,
    "novelty": NoveltySettings,
    "trainer": TrainerSettings,
    "trainer-gpu": TrainerSettings,
}
SECRET = re.compile(r"PASS|SECRET|TOKEN|_URL$")
PLACE = re.compile(r"http://[a-z]+:\d+")
each = pytest.mark.parametrize("name", SERVICES)


def test_every_service_is_looked_at():
    assert set(SERVICES) == set(NETWORKS)


@each
def test_an_image_is_pinned_or_built_here(name):
    image = SERVICES[name]["image"]
    if name in OURS:
        assert image.startswith("archloop/")
        built = SERVICES["generator" if name == "modelserver" else name]["build"]
        assert f" AS {image.split('/')[1].split(':')[0]}\n" in (ROOT / built["dockerfile"]).read_text()
        assert image.startswith(f"archloop/{built['target']}:")
    else:
        tag = image.rpartition(":")[2]
        assert re.search(r"\d", tag), f"{image} is not pinned"


@each
def test_nothing_is_privileged(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices", "userns_mode"} & set(service)
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


@each
def test_nobody_is_root_but_the_store_whose_image_wants_it(name):
    assert ("user" in SERVICES[name]) is (name != "minio")
    assert not SERVICES[name].get("user", "").startswith("0")
    if name in OURS:
        assert SERVICES[name]["user"] == "10001:10001"


@each
def test_it_has_limits_and_comes_back(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["logging"]["options"]["max-size"]


@each
def test_it_says_whether_it_is_well(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@each
def test_it_reaches_whom_it_needs(name):
    assert set(SERVICES[name]["networks"]) == NETWORKS[name]


def test_the_evaluator_meets_the_broker_and_the_registry_only():
    met = {name for name, networks in NETWORKS.items() if networks & NETWORKS["evaluator"]}
    assert met - {"prometheus", "jaeger"} == {"evaluator", "evaluator-gpu", "rabbitmq", "registry"}


def test_only_the_registry_has_a_way_out():
    ways_out = {name for name, network in COMPOSE["networks"].items() if not network.get("internal")}
    assert ways_out == {"edge"}
    assert [name for name, networks in NETWORKS.items() if "edge" in networks] == ["registry", *OBSERVERS]


@each
def test_ports_are_for_this_machine(name):
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert bool(ports) is (name in ("registry", *OBSERVERS))


def test_secrets_come_from_the_environment_file():
    given = {key: value for service in SERVICES.values() for key, value in service.get("environment", {}).items()}
    secret = {key: value for key, value in given.items() if SECRET.search(key) and not PLACE.fullmatch(value)}
    assert len(secret) >= len(environment.SECRETS)
    for variable, value in secret.items():
        used = set(re.findall(r"\$\{(\w+)", value))
        assert used, f"{variable} is written down"
        assert used <= set(environment.SECRETS)
        assert not re.search(r"\$\{\w+:?-", value), f"{variable} has a default"


@each
def test_all_evaluators_have_the_one_secret_of_the_held_out_images_and_nobody_else(name):
    given = SERVICES[name].get("environment", {}).items()
    named = [variable for variable, value in given if "HELDOUT" in str(value)]
    setting = EvaluatorSettings.variable("heldout_secret")
    assert named == ([setting] if name.startswith("evaluator") else [])


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_one_that_the_service_has(name):
    known = {SETTINGS[name].variable(field) for field in SETTINGS[name].model_fields}
    given = {variable for variable in SERVICES[name]["environment"] if variable.startswith("ARCHLOOP_")}
    assert given <= known


@pytest.mark.parametrize("name", SETTINGS)
def test_health_is_asked_for_on_the_services_port(name):
    assert f"http://127.0.0.1:{SETTINGS[name].own_port}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


def test_a_missing_secret_is_told_with_what_to_do():
    text = (ROOT / "compose.yaml").read_text()
    for name in environment.SECRETS:
        assert f"${{{name}:?there are no secrets yet, run `make up`}}" in text


def test_the_sandbox_has_its_filter_and_no_other_exception():
    assert SERVICES["evaluator"]["security_opt"] == [
        "no-new-privileges:true",
        "seccomp:./deploy/seccomp/evaluator.json",
        "apparmor:unconfined",
    ]
    others = {name: SERVICES[name]["security_opt"] for name in SERVICES if not name.startswith("evaluator")}
    assert all(options == ["no-new-privileges:true"] for options in others.values()), others


@pytest.mark.parametrize("name", [n for n in OURS if n not in ("registry", "modelserver")])
def test_the_registry_is_first(name):
    assert SERVICES[name]["depends_on"]["registry"] == {"condition": "service_healthy"}
    assert SERVICES["registry"]["environment"]["ARCHLOOP_REGISTRY_MAKE_BUCKET"] == "true"


def test_the_model_server_reads_adapters_where_the_generator_says_they_are():
    path = SERVICES["generator"]["environment"]["ARCHLOOP_GENERATOR_CACHE_DIR"]
    assert SERVICES["generator"]["volumes"] == [f"adapters:{path}"]
    assert SERVICES["generator-gpu"]["volumes"][0] == f"adapters:{path}"
    for server in ("modelserver", "vllm"):
        assert f"adapters:{path}:ro" in SERVICES[server]["volumes"]


def test_with_gpus_all_know_the_base_model_by_one_name():
    asked = SERVICES["generator-gpu"]["environment"]["ARCHLOOP_GENERATOR_BASE_MODEL"]
    assert SERVICES["trainer-gpu"]["environment"]["ARCHLOOP_TRAINER_BASE_MODEL"] == asked
    assert f"--model={asked}" in SERVICES["vllm"]["command"]


@pytest.mark.parametrize("profile", ["cpu", "gpu", "observe"])
def test_compose_accepts_it(profile, tmp_path):
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("no docker compose on this machine")
    environment.write(tmp_path / "env")
    command = [docker, "compose", "--env-file", tmp_path / "env", "--profile", profile, "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_what_observes_is_there_on_request_only():
    assert OBSERVERS == ["prometheus", "jaeger", "grafana"]
    assert {SERVICES[name]["restart"] for name in OBSERVERS} == {"unless-stopped"}
    needed = {name for service in SERVICES.values() for name in service.get("depends_on", ())}
    assert not needed & set(OBSERVERS)


@pytest.mark.parametrize("name", [n for n in SETTINGS if n != "registry"])
def test_unless_told_otherwise_metrics_stay_on_loopback_and_no_trace_is_sent(name):
    given = SERVICES[name]["environment"]
    assert given[SETTINGS[name].variable("host")] == "${ARCHLOOP_METRICS_HOST:-127.0.0.1}"
    assert given[SETTINGS[name].variable("traces_endpoint")] == "${ARCHLOOP_TRACES_ENDPOINT:-}"


def test_prometheus_asks_every_service_at_its_port():
    (job,) = _file("prometheus.yaml")["scrape_configs"]
    asked = {name: each["port"] for each in job["dns_sd_configs"] for name in each["names"]}
    assert asked == {name: SETTINGS[name].own_port for name in SETTINGS}
    assert all(NETWORKS["prometheus"] & NETWORKS[name] for name in asked)
    assert {each["target_label"] for each in job["relabel_configs"]} == {"namespace", "pod"}


def test_traces_reach_the_viewer_from_every_service():
    assert all(NETWORKS["jaeger"] & NETWORKS[name] for name in SETTINGS)


def test_grafana_finds_its_sources_and_the_one_dashboard():
    for source in _file("datasources.yaml")["datasources"]:
        host, port = re.fullmatch(r"http://(\w+):(\d+)", source["url"]).groups()
        assert NETWORKS[host] & NETWORKS["grafana"]
        assert SERVICES[host]["ports"][0].endswith(f":{port}")
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    assert all((ROOT / path).is_file() for path in mounted)
    (provider,) = _file("dashboards.yaml")["providers"]
    assert (
        f"{provider['options']['path']}/dashboard.json" == mounted["./deploy/k8s/components/monitoring/dashboard.json"]
    )


def _file(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy/compose/observe" / name).read_text())
