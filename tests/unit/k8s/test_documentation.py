"""The how-to speaks of what there is, and its example is one that kustomize takes."""

import os
import re

import yaml

from tests.unit.k8s.manifests import K8S, OVERLAYS, ROOT, kustomized, loaded, of_kind, rendered
from tests.unit.k8s.rules import all_broken

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
    assert applied >= {"cluster", "overlays/dev", "overlays/prod", SECOND, "datasets"}


def test_every_object_that_a_command_names_is_there(scratch):
    there = {
        f"{each['kind'].lower()}/{each['metadata']['name']}" for name in OVERLAYS for each in rendered(name, scratch)
    }
    commands = "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
    named = set(re.findall(r"\b((?:deployment|statefulset|cronjob|daemonset|service)/[a-z-]+)", commands))
    assert named
    assert named <= there


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
