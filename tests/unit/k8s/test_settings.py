"""What the manifests tell the services is what the services know: settings, files, ports, routes, commands, secrets."""

import importlib.util
import re

import pytest
import yaml

from archloop.ops.health import router
from services.evaluator.settings import EvaluatorSettings
from services.generator.settings import GeneratorSettings
from services.novelty.settings import NoveltySettings
from services.registry.settings import RegistrySettings
from services.trainer.settings import TrainerSettings
from tests.unit.k8s.manifests import RENDERINGS, ROOT, each, of_kind, pods, rendered, service_pods, settings_of

SETTINGS = {
    settings.service: settings
    for settings in (EvaluatorSettings, GeneratorSettings, NoveltySettings, RegistrySettings, TrainerSettings)
}
SECRETS = {
    "broker": {"url", "management-url", "password"},
    "documents": {"url", "password"},
    "objects": {"access-key", "secret-key"},
    "registry": {"token", "read-token"},
    "evaluator": {"heldout-secret"},
}
OTHERS = {"HF_HUB_OFFLINE", "SSL_CERT_FILE"}
WITHOUT_SERVICES = {"cluster", "cluster-apparmor", "datasets", "models"}
PLACES = "/etc/archloop/secrets"


def services(name, scratch):
    """The services' own pods of this rendering, and their settings: all five, or none where none is meant to be."""
    objects = rendered(name, scratch)
    found = list(service_pods(objects))
    assert {service for service, _ in found} == (set() if name in WITHOUT_SERVICES else SETTINGS.keys())
    main = ((service, pod, pod.spec["containers"][0]) for service, pod in found)
    return [(service, pod, container, settings_of(objects, container)) for service, pod, container in main]


def files(pod, container):
    """The files of secrets that the container sees."""
    found = {}
    for mount in container.get("volumeMounts", []):
        for source in pod.volume(mount).get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                found[f"{mount['mountPath']}/{item['path']}"] = (source["secret"]["name"], item["key"])
    return found


@each
def test_every_setting_is_one_that_the_service_has(name, scratch):
    for service, _, _, environment in services(name, scratch):
        known = {SETTINGS[service].variable(field) for field in SETTINGS[service].model_fields}
        given = {variable.removesuffix("_FILE") for variable in environment.keys() - OTHERS}
        assert given <= known, service


@each
def test_every_setting_has_a_value_that_the_service_takes(name, scratch, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("http://secret/of-thirty-two-characters-or-more")
    for service, _, _, environment in services(name, scratch):
        with monkeypatch.context() as patched:
            for variable, value in environment.items():
                patched.setenv(variable, str(tmp_path / "secret") if variable.endswith("_FILE") else value)
            patched.setenv("ARCHLOOP_GENERATOR_REPLICA", "generator-0")
            assert SETTINGS[service].load().host == "0.0.0.0"


@each
def test_every_file_that_a_setting_names_is_mounted(name, scratch):
    for service, pod, container, environment in services(name, scratch):
        named = {
            value for variable, value in environment.items() if variable.endswith("_FILE") and "ARCHLOOP" in variable
        }
        assert named == set(files(pod, container)), service


@each
def test_every_secret_is_one_that_the_documentation_names(name, scratch):
    found = pods(rendered(name, scratch))
    assert found
    for pod in found:
        for container in pod.containers:
            for secret, key in files(pod, container).values():
                assert key in SECRETS[secret], pod.name
            for variable in container.get("env", []):
                if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                    assert reference["key"] in SECRETS[reference["name"]], pod.name


@each
def test_health_is_asked_for_by_routes_and_ports_that_there_are(name, scratch):
    routes = {route.path for route in router.routes}
    for service, _, container, _ in services(name, scratch):
        assert container["ports"] == [{"name": "http", "containerPort": SETTINGS[service].own_port}]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "http"
            assert container[probe]["httpGet"]["path"] in routes
        assert container["livenessProbe"]["timeoutSeconds"] > 5


@each
def test_every_python_module_that_is_started_is_there(name, scratch):
    found = pods(rendered(name, scratch))
    assert found
    for pod in found:
        for container in pod.containers:
            if container.get("command", [])[:2] == ["python", "-m"]:
                assert importlib.util.find_spec(container["command"][2]), container["command"]
            elif container.get("command") == ["python", "-c"]:
                compile(container["args"][0], container["name"], "exec")


@each
def test_every_volume_is_there_and_used(name, scratch):
    objects = rendered(name, scratch)
    claims = {(c["metadata"]["namespace"], c["metadata"]["name"]) for c in of_kind(objects, "PersistentVolumeClaim")}
    assert pods(objects)
    for pod in pods(objects):
        templates = {each["metadata"]["name"] for each in pod.owner["spec"].get("volumeClaimTemplates", [])}
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.spec.get("volumes", [])} | templates, pod.name
        for volume in pod.spec.get("volumes", []) if name not in {"datasets", "models"} else []:
            if claim := volume.get("persistentVolumeClaim"):
                assert (pod.namespace, claim["claimName"]) in claims, pod.name


def test_what_is_tried_by_isolation_covers_the_stores_beside_the_services(scratch):
    settings = (environment for _, _, _, environment in services("overlays/dev", scratch))
    (places,) = filter(None, (each.get("ARCHLOOP_EVALUATOR_OUT_OF_REACH") for each in settings))
    assert {"mongo:27017", "minio:9000"} <= set(places.split(","))


def test_images_of_others_are_those_of_compose(scratch):
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    theirs = {service["image"] for service in compose.values() if service.get("profiles") != ["observe"]}
    theirs = {image for image in theirs if not image.startswith("archloop/")}
    ours = {
        container["image"]
        for name in RENDERINGS
        for pod in pods(rendered(name, scratch))
        for container in pod.containers
        if not re.search(r"archloop/|busybox|text-generation-inference", container["image"])
    }
    assert ours == theirs


@pytest.mark.parametrize("name", ["overlays/prod", "overlays/gpu"])
def test_generator_trainer_and_model_server_know_the_base_model_by_one_name(name, scratch):
    objects = rendered(name, scratch)
    environments = {service: environment for service, _, _, environment in services(name, scratch)}
    vllm = next(pod for pod in pods(objects) if pod.labels.get("app.kubernetes.io/name") == "vllm")
    asked = environments["generator"]["ARCHLOOP_GENERATOR_BASE_MODEL"]
    assert environments["trainer"]["ARCHLOOP_TRAINER_BASE_MODEL"] == asked
    assert asked in vllm.spec["containers"][0]["args"]


def test_adapters_are_where_the_generator_says(scratch):
    for name, server in (("overlays/gpu", "vllm"), ("overlays/dev", "generator")):
        objects = rendered(name, scratch)
        place = next(env for service, _, _, env in services(name, scratch) if service == "generator")[
            "ARCHLOOP_GENERATOR_CACHE_DIR"
        ]
        pod = next(pod for pod in pods(objects) if pod.labels.get("app.kubernetes.io/name") == server)
        mounts = {m["name"]: m for m in pod.spec["containers"][-1]["volumeMounts"]}
        assert mounts["adapters"] == {"name": "adapters", "mountPath": place, "readOnly": True}
