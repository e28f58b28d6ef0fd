"""Names and words from outside, in every command: shown as they are, on one line."""

import os
import shutil
import signal

import pytest
import yaml

from archloop import protocols
from tests.unit.cli.test_terminal import HOSTILE

pytestmark = pytest.mark.timeout(240)

NAMES = [name for name in HOSTILE.values() if "\x00" not in name and "\ud800" not in name]
MISSING = {
    "evaluate": ["evaluate", "{}"],
    "novelty": ["novelty", "{}"],
    "resume": ["resume", "{}"],
    "report": ["report", "{}"],
    "transfer": ["transfer", "{}", "--protocols", "shapes"],
    "transfer under": ["transfer", "exp", "--protocols", "{}"],
    "proxy": ["proxy", "{}"],
    "confirm": ["confirm", "{}"],
    "study": ["study", "{}"],
    "preset": ["run", "--preset", "{}", "--plan"],
    "preset file": ["run", "--preset", "{}.yaml"],
    "protocol": ["run", "--protocol", "{}"],
    "pairs": ["run", "--preset", "small.yaml", "--pairs", "{}"],
    "budget": ["run", "--preset", "small.yaml", "--budget", "{}"],
    "manifest": ["run", "--from-manifest", "{}"],
    "parked list": ["parked", "list", "--run", "{}"],
    "parked show": ["parked", "show", "{}", "--run", "exp"],
    "model fetch": ["model", "fetch", "{}"],
    "data prepare": ["data", "prepare", "{}"],
    "lemur import": ["lemur", "import", "{}", "--out", "c"],
    "lemur curate": ["lemur", "curate", "{}"],
    "lemur pairs": ["lemur", "pairs", "{}", "p"],
    "lemur export": ["lemur", "export", "{}", "o"],
    "evaluate under": ["evaluate", "nets/a.py", "--protocol", "{}"],
    "novelty under": ["novelty", "nets", "--graph", "--protocol", "{}"],
    "report beside": ["report", "exp", "--control", "{}"],
    "study out": ["study", "small.yaml", "--out", "{}"],
    "devices": ["run", "--preset", "small.yaml", "--devices", "{}"],
    "backend": ["run", "--preset", "small.yaml", "--backend", "{}"],
    "server": ["run", "--preset", "small.yaml", "--server", "{}"],
    "server's user": ["run", "--preset", "small.yaml", "--server", "ftp://{}@nowhere.example/"],
    "run's name": ["run", "--preset", "small.yaml", "--server", "http://127.0.0.1:9", "--name", "../{}"],
    "parked replay": ["parked", "replay", "{}", "--run", "exp"],
    "parked drop": ["parked", "drop", "{}", "--run", "exp"],
    "parked dropped elsewhere": ["parked", "drop", "--all", "--run", "{}"],
    "parked elsewhere": ["parked", "replay", "--all", "--run", "{}"],
    "pairs' protocol": ["model", "pairs", "made", "--protocol", "{}"],
    "pairs' template": ["model", "pairs", "made", "--protocol", "digits", "--template", "{}"],
    "images": ["data", "prepare", "mine", "--from", "{}"],
    "root in a file": ["data", "prepare", "mine", "--from", "images", "--root", "small.yaml/{}"],
    "networks' template": ["lemur", "pairs", "lemur.corpus", "made", "--template", "{}"],
    "prefix": ["lemur", "export", "exp", "made", "--prefix", "_{}"],
    "sizes": ["lemur", "curate", "lemur.corpus", "--sizes", "{}"],
    "export of": ["lemur", "export", "{}", "made"],
    "candidates of": ["candidates", "{}"],
    "sorted by": ["candidates", "exp", "--sort", "{}"],
    "outcome": ["candidates", "exp", "--outcome", "{}"],
    "show of": ["show", "{}", "0/0"],
    "show which": ["show", "exp", "{}"],
    "diff of": ["diff", "{}", "0/0", "0/1"],
    "diff which": ["diff", "exp", "0/0", "{}"],
    "lineage of": ["lineage", "{}", "0/0"],
    "lineage which": ["lineage", "exp", "{}"],
    "adapters of": ["adapters", "{}"],
    "acts of": ["acts", "{}"],
    "pause which": ["pause", "{}"],
    "cancel which": ["cancel", "{}"],
    "steer which": ["steer", "{}", "candidates=4"],
    "steer by": ["steer", "going", "{}"],
    "steer to": ["steer", "going", "candidates={}"],
    "pin": ["steer", "going", "--pin", "{}"],
    "ban": ["steer", "going", "--ban", "{}"],
    "revert to": ["steer", "going", "--revert", "{}"],
    "submitted file": ["steer", "going", "--submit", "{}"],
    "queues of": ["queues", "--registry", "{}"],
    "services of": ["services", "--registry", "ftp://{}@nowhere.example/"],
    "page of": ["page", "{}"],
    "command": ["{}"],
    "option": ["novelty", "--{}"],
    "choice": ["serve", "{}"],
    "number": ["run", "--cycles", "{}"],
}
OUTPUTS = {
    "run": ["run", "--preset", "small.yaml", "--out", "{}"],
    "env": ["env", "{}"],
    "model pairs": ["model", "pairs", "{}", "--count", "1", "--protocol", "digits"],
    "lemur import": ["lemur", "import", "lemur", "--out", "{}"],
    "lemur export": ["lemur", "export", "exp", "{}"],
    "lemur pairs": ["lemur", "pairs", "lemur.corpus", "{}"],
    "data prepare": ["data", "prepare", "mine", "--from", "images", "--root", "{}"],
}
OF_A_RUN = {
    "report": ["report", "{}"],
    "report beside": ["report", "exp", "--control", "{}"],
    "resume": ["resume", "{}"],
    "transfer": ["transfer", "{}", "--protocols", "shapes"],
    "proxy": ["proxy", "{}"],
    "parked": ["parked", "show", "0", "--run", "{}"],
    "lemur export": ["lemur", "export", "{}", "exported"],
    "runs": ["runs", "{}"],
    "candidates": ["candidates", "{}"],
    "show": ["show", "{}", "0/1"],
    "diff": ["diff", "{}", "0/0", "0/1"],
    "lineage": ["lineage", "{}", "0/1"],
    "adapters": ["adapters", "{}"],
    "acts": ["acts", "{}"],
    "held": ["report", "{}"],
}


def named(cases):
    """Parameters: each case with a quarter of the names, the next with the next; with all of them if thorough."""
    for place, case in enumerate(cases):
        yield pytest.param(case, NAMES[place % 4 :: 4], id=case)
        yield pytest.param(case, NAMES, id=f"{case} of all names", marks=pytest.mark.thorough)


@pytest.mark.parametrize(("case", "names"), named(MISSING))
def test_what_is_not_there_is_named_as_it_is(case, names, server, world):
    args = MISSING[case]
    assert len(names) >= 5
    for name in names:
        ended = server.run([each.format(name) if each != "{}" else name for each in args], world)
        assert ended.code in {1, 2}, (name, ended)
        assert ended.err.startswith("error ["), (name, ended)
        assert len(ended.err.splitlines()) == 1 or all(line.startswith(" ") for line in ended.err.splitlines()[1:])
        assert _is_plain(ended), (name, ended)


@pytest.mark.parametrize(("case", "names"), named(OUTPUTS))
def test_what_is_made_has_any_name_and_is_told_as_it_is(case, names, server, world):
    assert len(names) >= 5
    for name in names:
        if "/" in name:
            continue
        ended = server.run([each.replace("{}", name) for each in OUTPUTS[case]], world)
        assert ended.code == 0, (name, ended)
        assert os.path.lexists(world / name)
        assert _is_plain(ended), (name, ended)


@pytest.mark.parametrize(("case", "names"), named(OF_A_RUN))
def test_a_run_may_lie_in_a_folder_of_any_name(case, names, server, world):
    assert len(names) >= 5
    for name in names:
        if "/" in name:
            continue
        shutil.copytree(world / "exp", world / name)
        before = [("locked", [name])] if case == "held" else []
        ended = server.run([each.replace("{}", name) for each in OF_A_RUN[case]], world, before)
        assert ended.code == int(case == "held"), (name, ended)
        assert _is_plain(ended), (name, ended)


def test_what_a_protocol_or_a_preset_says_is_text(server, world):
    for name in NAMES:
        content = {**protocols.load("digits").model_dump(mode="json"), "description": name}
        (world / "mine.yaml").write_text(yaml.safe_dump(content | {"dataset": content["dataset"] | {"name": name}}))
        (world / "own.yaml").write_text(yaml.safe_dump({"preset": name, "protocol": name, "base_model": name}))
        for args in (["--protocol", "mine.yaml"], ["--preset", "own.yaml"]):
            ended = server.run(["run", *args, "--plan"], world)
            assert ended.code in {0, 1}, (name, ended)
            assert _is_plain(ended), (name, ended)


def test_files_of_a_folder_and_what_is_in_them(server, world):
    shutil.rmtree(world / "nets")
    (world / "nets").mkdir()
    for name in NAMES:
        if "/" not in name:
            (world / "nets" / f"{name}.py").write_text(f"raise ValueError({name!r})\n")
    ended = server.run(["novelty", "nets"], world)
    assert (ended.code, _is_plain(ended)) == (0, True), ended
    assert len(ended.out.splitlines()) == len([name for name in NAMES if "/" not in name])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_a_signal_ends_a_run_in_a_line_and_resume_goes_on(number, code, server, world):
    before = [("endless", []), ("signalled", [1.5, number])]
    ended = server.run(["run", "--preset", "small.yaml", "--out", "new"], world, before)
    assert ended.code == code, ended
    assert f"error [interrupted] ended by {signal.Signals(number).name}" in ended.err
    assert "`archloop resume new` goes on" in ended.err
    assert "Traceback" not in ended.err
    assert server.run(["resume", "new"], world).code == 0


@pytest.mark.parametrize("seed", [3, 9])
@pytest.mark.parametrize("out", ["exp", "new"])
def test_who_starts_a_second_run_is_told_who_is_there(seed, out, server, world):
    (world / "new").mkdir()
    before = {path: path.read_bytes() for path in world.rglob("*") if path.is_file()}
    ended = server.run(
        ["run", "--preset", "small.yaml", "--seed", seed, "--out", out], world, [("locked", ["exp", "new"])]
    )
    assert ended.code == 1
    assert "error [conflict]" in ended.err
    assert " is in use by process " in ended.err
    assert len(ended.err.splitlines()) == 1
    after = {path: path.read_bytes() for path in world.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_where_ctrl_c_is_ignored_the_other_signals_are_not(number, server, world):
    before = [("ignored", [signal.SIGINT]), ("endless", []), ("signalled", [1.5, number])]
    ended = server.run(["run", "--preset", "small.yaml", "--out", "new"], world, before)
    assert (ended.code, "Traceback" in ended.err) == (128 + number, False), ended


@pytest.mark.parametrize("what", ["KeyError", "RecursionError"])
@pytest.mark.parametrize("writable", [True, False])
def test_a_bug_is_said_to_be_one_and_its_trace_is_in_a_file(what, writable, server, world):
    (world / "tmp").mkdir()
    before = [("bug", [what])] + ([] if writable else [("limit", ["RLIMIT_FSIZE", 0])])
    ended = server.run(["novelty", "nets"], world, before, {"TMPDIR": str(world / "tmp")})
    assert ended.code == 70, ended
    assert ended.err.startswith(f"error [bug] {what}: ")
    assert "Traceback" not in ended.err
    if writable:
        (trace,) = (world / "tmp").glob("archloop-*.trace")
        assert str(trace) in ended.err
        assert "Traceback" in trace.read_text()
    else:
        assert "cannot be written" in ended.err


def test_too_little_memory_is_no_bug(server, world):
    ended = server.run(["novelty", "nets"], world, [("bug", ["MemoryError"])])
    assert (ended.code, ended.err) == (1, "error [memory] there is not enough memory\n")


@pytest.mark.parametrize("args", [["--debug", "novelty", "nowhere"], ["novelty", "nowhere", "--debug"]])
def test_debug_shows_the_traceback_too(args, server, world):
    ended = server.run(args, world)
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "error [not_found]" in ended.err


def _is_plain(ended):
    return all(line.expandtabs().isprintable() for line in (ended.out + ended.err).split("\n"))
