"""What goes into the images, and as whom they run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = ("evaluator", "generator", "novelty", "registry", "trainer")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
each = pytest.mark.parametrize("service", SERVICES)


def dockerfile(service):
    return (ROOT / "services" / service / "Dockerfile").read_text()


def last_stage(service):
    return dockerfile(service).rpartition("\nFROM ")[2]


def has_torch(service):
    return any(need.startswith("torch") for need in EXTRAS[service])


@each
def test_the_base_is_one_tag(service):
    assert "ARG PYTHON_TAG=3.11-slim" in dockerfile(service)
    assert set(re.findall(r"^FROM (\S+)", dockerfile(service), re.MULTILINE)) == {"python:${PYTHON_TAG}"}


@each
def test_it_runs_as_a_user_without_rights(service):
    assert "--uid 10001 " in last_stage(service)
    assert re.findall(r"^USER (.+)$", dockerfile(service), re.MULTILINE) == ["10001:10001"]


@each
def test_it_installs_its_own_extra_as_constrained(service):
    assert re.findall(r"requirements\.py (\w+)", dockerfile(service)) == [service]
    assert "--constraint constraints.txt --requirement requirements.txt" in dockerfile(service)
    assert ("TORCH_INDEX" in dockerfile(service)) is has_torch(service)


@each
def test_it_holds_its_own_code(service):
    copied = re.findall(r"^COPY (?:--from=\S+ )?(\S+)", dockerfile(service), re.MULTILINE)
    assert {each for each in copied if each.startswith("services/")} == {
        "services/__init__.py",
        f"services/{service}",
    }


@each
def test_dependencies_do_not_wait_for_code(service):
    """The layer that installs them comes from files that a change of code leaves alone."""
    stages = {text.partition("\n")[0].split()[-1]: text for text in dockerfile(service).split("\nFROM ")[1:]}
    assert not re.search(r"^COPY (archloop|services)", stages["requirements"] + stages["dependencies"], re.MULTILINE)


@each
def test_nothing_is_built_or_installed_by_pip_in_the_last_stage(service):
    assert "pip" not in last_stage(service).replace("pip uninstall", "")
    assert ("libseccomp2" in last_stage(service)) is (service == "evaluator")


@each
def test_the_build_itself_asserts_what_is_absent(service):
    assert f"services.{service}.app" in last_stage(service)
    absent = set(re.findall(r"'(\w+)'", last_stage(service)))
    assert ("torch" in absent) is not has_torch(service)


@each
def test_requirements_are_the_projects_and_the_extras(service, tmp_path):
    for name in ("pyproject.toml", "deploy/images/requirements.py"):
        (tmp_path / Path(name).name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, tmp_path / "requirements.py", service]
    wanted = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(wanted) == {*project["dependencies"], *EXTRAS[service]}
