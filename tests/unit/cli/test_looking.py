"""Looking at runs and steering them by the command: the same of a run's directory as of a registry over HTTP."""

import asyncio
import json
import shlex
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from archloop.errors import ArchloopError, Conflict, InvalidInput, NotFound
from archloop.gpus import Gpu, GpuUse
from archloop.ops.http import listening
from archloop.ops.presence import Presence
from archloop_cli.commands import app
from archloop_lab.remote_registry import Refused
from archloop_lab.run_directory import RunDirectory
from services.registry.api import create
from services.registry.counting import Counts, QueueCount
from services.registry.records import CandidateQuery
from tests.support import shell_of
from tests.unit.registry.world import RUN, World, spec

ROOT = Path(__file__).parents[3]
CODE = "class Net: 'a network of my own'\n"


WAITS = QueueCount(queue="evaluator", waiting=4, parked=1, consumers=3, in_hand=2)
THERE = Presence(service="registry", host="one", process=7, version="9.9", in_hand={"registry": 1})
ELSEWHERE = Presence(
    service="evaluator",
    host="two\x1b[31m\n[b]",
    process=8,
    version="9.9",
    sandbox_level="namespaces",
    in_hand={"evaluator": 2},
    gpus=(GpuUse(Gpu(0, "G", 80.0, 30.0), 0.42), GpuUse(Gpu(1, "G", 80.0, 30.0), None)),
)


class Going(NamedTuple):
    """A run in its second cycle of three: its directory, where its registry answers, and some of its candidates."""

    directory: str
    url: str
    valid: str
    failed: str


@pytest.fixture
def going(tmp_path: Path) -> Iterator[Going]:
    ready: Future[Going] = Future()
    over, loop = asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        world = World(tmp_path / "run")
        await world.request(spec(candidates=6, generation={"mode": "edit"}))
        while len(await world.store.cycles(RUN)) < 2:
            await world.deliver()

        async def publish(_: object) -> None: ...

        rows = (await world.store.candidates(CandidateQuery(run_id=RUN, cycle=0))).items
        valid = next(c for c in rows if c.valid and c.judgement)
        failed = next(c for c in rows if not c.valid)
        api = create(world.store, world.blobs, publish, counts=Counts([WAITS], (THERE, ELSEWHERE)))
        async with listening(api, "127.0.0.1", 0, "port") as url:
            ready.set_result(Going(str(tmp_path / "run"), url, f"0/{valid.index}", f"0/{failed.index}"))
            await over.wait()
        await world.store.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield ready.result(60)
    loop.call_soon_threadsafe(over.set)
    thread.join()


def said(*arguments: object) -> str:
    """What a command prints. Raises what it raises."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, ArchloopError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def told(*arguments: object) -> list[Any]:
    return [json.loads(line) for line in said(*arguments, "--json").splitlines()]


VIEWS: list[tuple[str, tuple[str, ...]]] = [
    ("candidates", ()),
    ("candidates", ("--outcome", "ok", "--sort", "-accuracy", "--limit", "2")),
    ("candidates", ("--cycle", "0", "--min-accuracy", "0.3")),
    ("candidates", ("--code", "code")),
    ("show", ("{valid}",)),
    ("show", ("{failed}",)),
    ("diff", ("{valid}", "{failed}")),
    ("lineage", ("{valid}",)),
    ("adapters", ()),
    ("acts", ()),
]


@pytest.mark.parametrize(("command", "more"), VIEWS, ids=str)
def test_a_view_is_the_same_of_a_directory_and_of_a_registry(going: Going, command: str, more: tuple[str, ...]) -> None:
    said("pause", going.directory)
    given = [each.format(valid=going.valid, failed=going.failed) for each in more]
    local = told(command, going.directory, *given)
    assert local
    assert local == told(command, RUN, *given, "--registry", going.url)
    plain = said(command, going.directory, *given)
    assert plain.strip()
    assert plain == said(command, RUN, *given, "--registry", going.url)
    assert "\x1b" not in plain


def test_runs_are_listed_with_how_they_go(going: Going) -> None:
    for source in ([going.directory], ["--registry", going.url]):
        assert [(run["run_id"], run["status"]) for run in told("runs", *source)] == [(RUN, "running")]
    said("pause", RUN, "--registry", going.url)
    head, line = said("runs", going.directory).splitlines()
    assert (head.split("\t")[:2], line.split("\t")[:2]) == (["run", "status"], [RUN, "paused"])


def test_a_candidate_is_named_by_its_place_its_id_or_the_beginning_of_that(going: Going) -> None:
    (found,) = told("show", going.directory, going.valid)
    for name in (found["candidate_id"], found["candidate_id"][:13]):
        assert told("show", going.directory, name) == [found]
    assert found["code"]
    for name, error in (("9/9", NotFound), ("ffff0000", NotFound), ("x", InvalidInput), ("../etc", InvalidInput)):
        with pytest.raises(error):
            said("show", going.directory, name)


def test_a_diff_is_one_that_patch_understands(going: Going) -> None:
    lines = said("diff", going.directory, going.valid, going.failed).splitlines()
    assert lines[0] == f"--- {going.valid}"
    assert lines[1] == f"+++ {going.failed}"
    assert lines[2].startswith("@@ ")
    assert [line[0] for line in lines[3:]] == ["-", "+"]
    assert said("diff", going.directory, going.valid, going.valid) == ""


@pytest.mark.parametrize("remote", [False, True], ids=["directory", "registry"])
def test_a_run_is_steered_and_tells_of_it(going: Going, remote: bool, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(CODE)
    run = [RUN, "--registry", going.url] if remote else [going.directory]
    changes = ["candidates=9", "generation.temperature=0.7", "generation.families=dense,gated", "budget.tokens=1000"]
    said("pause", *run)
    said("resume", *run) if remote else said("steer", *run, "candidates=8", "--comment", "less")
    said("steer", *run, *changes, "--pin", going.valid, "--ban", going.failed, "--submit", tmp_path / "net.py")
    said("steer", *run, "--release", going.failed, "--revert", "tiny", "--comment", "it got worse")
    acts = told("acts", *run)
    assert [act["verb"] for act in acts][2:] == ["change", "pin", "ban", "submit", "release", "revert"]
    assert (acts[-1]["adapter"], acts[-1]["comment"]) == ("tiny", "it got worse")
    change = acts[2]["changes"]
    assert (change["candidates"], change["generation"]) == (9, {"temperature": 0.7, "families": ["dense", "gated"]})
    assert change["budget"]["tokens"] == 1000
    assert {act["who"] for act in acts} == {"operator"}
    line = said("acts", *run).splitlines()[3]
    assert (
        "change candidates=9, generation.temperature=0.7, generation.families=dense,gated, budget.tokens=1000" in line
    )


@pytest.mark.parametrize("remote", [False, True], ids=["directory", "registry"])
def test_a_cancelled_run_is_cancelled_again_and_is_not_resumed(going: Going, remote: bool) -> None:
    run = [RUN, "--registry", going.url] if remote else [going.directory]
    said("cancel", *run)
    said("cancel", *run)
    with pytest.raises((Conflict, Refused), match="is being cancelled"):
        said("pause", *run)
    assert [act["verb"] for act in told("acts", *run)] == ["cancel"]


@pytest.mark.parametrize(
    ("given", "error", "field"),
    [
        ((), InvalidInput, "NAME=VALUE"),
        (("candidates",), InvalidInput, "NAME=VALUE"),
        (("=3",), InvalidInput, "NAME=VALUE"),
        (("candidates=3", "candidates=4"), InvalidInput, "each name once"),
        (("generation=3", "generation.temperature=1"), InvalidInput, "each name once"),
        (("candidates=0",), InvalidInput, "steer: changes.candidates"),
        (("cycles=3",), InvalidInput, "steer: changes.cycles"),
        (("generation.temprature=1",), InvalidInput, "steer: changes.generation.temprature"),
        (("generation.families=round",), InvalidInput, "steer: changes.generation.families"),
        (("generation.template=poem",), InvalidInput, "generation.template"),
        (("selection.threshold=0.1",), InvalidInput, "fallback_threshold must not exceed"),
        (("--pin", "{failed}"), InvalidInput, "candidate"),
        (("--pin", "9/9"), NotFound, "no candidate named '9/9'"),
        (("--pin", "{valid}", "--ban", "9/9"), NotFound, "no candidate named '9/9'"),
        (("candidates=4", "--release", "9/9"), NotFound, "no candidate named '9/9'"),
        (("--submit", "/dev/null"), InvalidInput, "--submit: '/dev/null'.*empty"),
        (("--submit", "{blank}"), InvalidInput, "--submit: .*blank.py.*empty"),
        (("--submit", "{binary}"), InvalidInput, "--submit: .*binary.py.*utf-8"),
        (("--submit", "nothing.py"), NotFound, "nothing.py"),
        (("--revert", "run-1-c7"), InvalidInput, "one that has written a cycle of the run: tiny, run-1-c0"),
        (("--revert", ""), InvalidInput, "adapter"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_its_name(
    going: Going, given: tuple[str, ...], error: type[ArchloopError], field: str, tmp_path: Path
) -> None:
    files = {"blank": b"\n \n", "binary": b"\xff\x00\x80"}
    for name, content in files.items():
        (tmp_path / f"{name}.py").write_bytes(content)
    places = {name: tmp_path / f"{name}.py" for name in files} | {"failed": going.failed, "valid": going.valid}
    with pytest.raises(error, match=field):
        said("steer", going.directory, *(each.format_map(places) for each in given))
    assert told("acts", going.directory) == []


def test_where_a_later_act_is_refused_the_earlier_ones_are_told(going: Going) -> None:
    with pytest.raises(InvalidInput, match="adapter") as refused:
        said("steer", going.directory, "candidates=4", "--pin", going.valid, "--revert", "run-1-c7")
    assert refused.value.__notes__ == ["on record before it: change, pin"]
    assert [act["verb"] for act in told("acts", going.directory)] == ["change", "pin"]


def test_what_waits_at_a_deployment_and_who_is_there(going: Going) -> None:
    assert [QueueCount.model_validate(each) for each in told("queues", "--registry", going.url)] == [WAITS]
    assert [Presence.model_validate(each) for each in told("services", "--registry", going.url)] == [THERE, ELSEWHERE]
    (_, one) = said("queues", "--registry", going.url).splitlines()
    assert one.split() == ["evaluator", "4", "2", "3", "1", "-"]
    (_, own, other) = said("services", "--registry", going.url).splitlines()
    assert own.split() == ["registry", "one", "7", "9.9", "-", "registry", "1", "-"]
    assert other.replace("\t", " ").isprintable()
    assert "namespaces" in other
    assert "evaluator 2" in other
    assert "GPU 0 42%, GPU 1 –" in other


def test_the_how_to_says_what_can_be_done(going: Going, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mine").symlink_to(going.directory)
    (tmp_path / "net.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    *_, script = shell_of(ROOT / "docs/how-to/steering.md")
    script = script.replace("resume mine ", f"resume {RUN} ").replace("$REGISTRY", going.url)
    for line in filter(None, script.splitlines()):
        name, *arguments = shlex.split(line, comments=True)
        assert name == "archloop"
        said(*arguments)
    verbs = [act["verb"] for act in told("acts", going.directory)]
    assert verbs == ["pause", "resume", "change", "pin", "submit", "revert", "cancel"]


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    for command in ("candidates", "adapters", "acts", "pause", "cancel"):
        with pytest.raises(NotFound, match="--registry URL is for a run there"):
            said(command, tmp_path)
    assert not RunDirectory(tmp_path).registry_file.exists()


@pytest.mark.parametrize(("words", "completed"), [("archloop qu", "queues"), ("archloop steer --pi", "--pin")])
def test_a_shell_completes_commands_and_options(words: str, completed: str) -> None:
    from typer.completion import shell_complete
    from typer.main import get_command

    from archloop_cli.options import once

    command = get_command(app)
    once(command)
    env = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    with CliRunner().isolation(env=env) as (out, *_):
        assert shell_complete(command, {}, "archloop", "_ARCHLOOP_COMPLETE", "complete_bash") == 0
        assert completed in out.getvalue().decode()
