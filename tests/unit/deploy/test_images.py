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
DOCKERFILE = re.sub(r"^#.*\n", "", (ROOT / "deploy/images/Dockerfile").read_text(), flags=re.MULTILINE)
STAGES = {
    re.match(r"\S+ AS (\S+)\n", text)[1]: text for text in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
}
each = pytest.mark.parametrize("service", SERVICES)


def base(stage):
    return STAGES[stage].split()[0]


def layers(stage):
    """What the stage's image is made of: its own lines after those of the stages that it is built on."""
    return (layers(base(stage)) if base(stage) in STAGES else "") + STAGES[stage]


def whole(service):
    """All that is done for an image, in the stages that it copies from too."""
    sources = re.findall(r"--from=(\S+)", layers(service))
    assert sources
    return layers(service) + "".join(
        whole(source) if "--from" in layers(source) else layers(source) for source in sources
    )


def copied(stage, source):
    return re.findall(rf"^COPY --from={source} (.+) \S+$", layers(stage), re.MULTILINE)


def has_torch(service):
    return any(need.startswith("torch") for need in EXTRAS[service])


def test_every_service_has_a_target():
    assert set(SERVICES) == {path.parent.name for path in ROOT.glob("services/*/__main__.py")}
    assert set(SERVICES) <= STAGES.keys()


def test_the_base_is_one_tag():
    assert "ARG PYTHON_TAG=3.11-slim" in DOCKERFILE
    assert {base(stage) for stage in STAGES} - STAGES.keys() == {"python:${PYTHON_TAG}"}


@each
def test_it_runs_as_a_user_without_rights(service):
    assert "--uid 10001 " in layers(service)
    assert re.findall(r"^USER (.+)$", whole(service), re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^CMD (.+)$", whole(service), re.MULTILINE) == [f'["python", "-m", "services.{service}"]']


@each
def test_it_installs_its_own_extra_as_constrained(service):
    assert copied(f"{service}-packages", "requirements") == [f"{service}.txt"]
    assert copied(service, f"{service}-packages") == ["/opt/archloop"]
    assert "--constraint constraints.txt --requirement requirements.txt" in STAGES[f"{service}-packages"]
    assert ("TORCH_INDEX" in whole(service)) is has_torch(service)


@pytest.mark.parametrize("stage", STAGES)
def test_every_pip_has_the_arguments_that_the_builder_gives(stage):
    """Not every builder hands an argument on to the stages that are built on its own."""
    text = STAGES[stage]
    assert text.count("$PIP_ARGS") == text.count('ARG PIP_ARGS=""') == text.count("pip install")


@each
def test_it_holds_its_own_code(service):
    assert copied(service, "code") == ["/app/archloop", "/app/services/__init__.py", f"/app/services/{service}"]
    assert set(re.findall(r"--from=(\S+)", layers(service))) == {"code", f"{service}-packages"}


@each
def test_dependencies_do_not_wait_for_code(service):
    """The layers that install them come from files that a change of code leaves alone."""
    assert not re.search(r"^COPY.*(archloop|services) ", whole(f"{service}-packages"), re.MULTILINE)
    last = layers(service)
    assert last.index(f"--from={service}-packages") < last.index("--from=code")


def test_what_needs_no_torch_is_built_before_it():
    """Some builders build every stage above the target."""
    order = list(STAGES)
    light = {service for service in SERVICES if not has_torch(service)}
    assert light == {"novelty", "registry"}
    assert {service for service in SERVICES if order.index(service) < order.index("torch")} == light


@each
def test_nothing_is_built_or_installed_by_pip_in_the_last_stage(service):
    assert "pip" not in layers(service)
    assert ("libseccomp2" in layers(service)) is (service == "evaluator")


@each
def test_the_allocator_that_gives_memory_back_is_the_registrys_alone(service):
    assert ("PYTHONMALLOC=malloc" in layers(service)) is (service == "registry")


@each
def test_the_build_itself_asserts_what_is_absent(service):
    assert f"services.{service}.app" in STAGES[service]
    absent = set(re.findall(r"'(\w+)'", STAGES[service]))
    assert absent
    assert ("torch" in absent) is not has_torch(service)


@each
def test_requirements_are_the_projects_and_the_extras(service, tmp_path):
    for name in ("pyproject.toml", "deploy/images/requirements.py"):
        (tmp_path / Path(name).name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, tmp_path / "requirements.py", service]
    wanted = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(wanted) == {*project["dependencies"], *EXTRAS[service]}
