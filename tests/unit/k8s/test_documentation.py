"""The how-to speaks of what there is, and its example is one that kustomize takes."""

import itertools
import os
import re
import shlex
import subprocess

import pytest
import yaml

from tests.unit.k8s.allowed import refused
from tests.unit.k8s.manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    kubectl,
    kustomized,
    loaded,
    named,
    of_kind,
    pods,
    rendered,
)
from tests.unit.k8s.places import PLACES
from tests.unit.k8s.rules import all_broken
from tests.unit.k8s.test_settings import SECRETS

PAGE = (ROOT / "docs/how-to/kubernetes.md").read_text()
SECOND = "overlays/second"


def test_every_component_is_in_the_table():
    components = {
        path.parent.relative_to(K8S / "components").as_posix() for path in K8S.glob("components/**/kustomization.yaml")
    }
    table = set(re.findall(r"`([\w/-]+)`", "".join(re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE))))
    assert components - {"keda/training"} <= table


def test_every_folder_that_is_applied_is_there():
    applied = set(re.findall(r"--kustomize deploy/k8s/([\w/-]+)", PAGE))
    assert applied <= {*OVERLAYS, SECOND}
    assert applied >= {"cluster", "overlays/dev", "overlays/prod", SECOND, "datasets", "models"}


def test_every_overlay_is_told_of():
    for name in OVERLAYS:
        assert re.search(rf"(?<![\w-]){name.removeprefix('overlays/')}(?![\w-])", PAGE), name


def commands():
    """What is to be typed, one program each."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            for command in re.split(r"\s+(?:\||&|;)\s*", line.removeprefix("$ ")):
                yield shlex.split(command)


def test_kubectl_takes_every_command():
    """Its own parser of verbs and flags; one of each set of flags is enough."""
    asked = {}
    for command in commands():
        if command[:1] == ["kubectl"]:
            asked[tuple(sorted(re.sub("=.*", "", each) for each in command if not each[0].isdigit()))] = command[1:]
    assert len(asked) > 20
    for command in asked.values():
        done = subprocess.run([kubectl(), *command, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stderr}"


def test_kubectl_would_refuse_a_flag_that_there_is_not():
    done = subprocess.run([kubectl(), "apply", "--kustomise", "x", "--help"], capture_output=True, check=False)
    assert done.returncode != 0


@pytest.fixture
def objects(scratch):
    return [each for name in OVERLAYS for each in rendered(name, scratch)]


def test_every_object_that_a_command_names_is_there(objects):
    there = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects}
    made = {
        f"job/{command[command.index('job') + 2]}" for command in commands() if "--from=cronjob" in " ".join(command)
    }
    words = {word.split("=")[-1].strip(",") for command in commands() if command[:1] == ["kubectl"] for word in command}
    named = {word for word in words if re.fullmatch(r"[a-z]+/[a-z-]+", word) and not word.startswith("deploy/")}
    assert len(named) > 10
    assert {each for each in named if not each.startswith("archloop/")} <= there | made


def test_every_namespace_container_and_port_that_a_command_names_is_there(objects):
    namespaces = {each["metadata"]["name"] for each in of_kind(objects, "Namespace")} | {"second"}
    containers = {container["name"] for pod in pods(objects) for container in pod.containers}
    ports = {
        (each["metadata"]["name"], str(port["port"]))
        for each in of_kind(objects, "Service")
        for port in each["spec"]["ports"]
    }
    pairs = [pair for command in commands() for pair in itertools.pairwise(command)]
    forwarded = [command for command in commands() if "port-forward" in command]
    named = {flag: {value for name, value in pairs if name == flag} for flag in ("--namespace", "--container")}
    assert "archloop" in named["--namespace"] <= namespaces
    assert "isolation" in named["--container"] <= containers
    assert {(command[-2].removeprefix("service/"), command[-1]) for command in forwarded} == {
        ("registry", "8000")
    } & ports


def test_what_is_copied_goes_into_pods_that_have_the_disk(objects):
    copied = [command for command in commands() if command[1:2] == ["cp"]]
    assert len(copied) == 2
    for command in copied:
        name, _, path = command[-1].removeprefix("archloop/").partition(":")
        mounts = named(objects, "Pod", name)["spec"]["containers"][0]["volumeMounts"]
        assert any(path.startswith(mount["mountPath"]) and not mount.get("readOnly") for mount in mounts)


def test_the_images_that_kind_gets_are_those_that_its_overlay_has(scratch):
    (load,) = (command for command in commands() if command[:2] == ["kind", "load"])
    images = {container["image"] for pod in pods(rendered("overlays/dev", scratch)) for container in pod.containers}
    assert set(load[5:]) == {image for image in images if image.startswith("archloop/")}


def test_the_secrets_of_the_table_are_those_that_pods_have(objects):
    section = PAGE.split("What `prod` expects")[1].split("All but")[0]
    table = set(re.findall(r"^\| `([\w-]+)` \| (?:`|of type)", section, re.MULTILINE))
    assert table == {*SECRETS, "registry-credentials"}


def test_what_selects_selects_something(objects):
    """But for what the cluster itself has."""
    selectors = {pair[1] for command in commands() for pair in itertools.pairwise(command) if pair[0] == "--selector"}
    assert selectors - {"kubernetes.io/service-name=kubernetes"}
    for key, value in (each.split("=") for each in selectors - {"kubernetes.io/service-name=kubernetes"}):
        assert any(each["metadata"].get("labels", {}).get(key) == value for each in of_kind(objects, "Deployment"))


def test_a_second_experiment_is_a_namespace_of_its_own(scratch):
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    kustomization = yaml.safe_load(example[1])
    folder = scratch / "second"
    folder.mkdir()
    bases = [K8S / SECOND / each for each in kustomization["resources"]]
    kustomization["resources"] = [os.path.relpath(os.path.normpath(base), folder) for base in bases]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    objects = loaded(kustomized(folder))
    assert {each["metadata"].get("namespace", "second") for each in objects} == {"second"}
    assert [each["metadata"]["name"] for each in of_kind(objects, "Namespace")] == ["second"]
    assert all_broken(objects) == {}
    assert list(refused(objects, [place._replace(namespace="second") for place in PLACES["overlays/dev"]])) == []
