"""Every command in every situation that a machine may have for it: a line, the right exit code, nothing half done."""

import json
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.support import sampled

pytestmark = pytest.mark.timeout(240)

COMMANDS = {
    "version": ["version"],
    "help": ["--help"],
    "doctor": ["doctor"],
    "plan": ["run", "--preset", "small.yaml", "--plan"],
    "run": ["run", "--preset", "small.yaml", "--out", "new", "--json"],
    "run with pairs": ["run", "--preset", "small.yaml", "--pairs", "pairs.jsonl", "--out", "new"],
    "resume": ["resume", "exp", "--json"],
    "report": ["report", "exp"],
    "transfer": ["transfer", "exp", "--protocols", "shapes"],
    "proxy": ["proxy", "exp"],
    "confirm": ["confirm", "exp"],
    "study": ["study", "study.yaml", "--out", "study"],
    "evaluate": ["evaluate", "nets/a.py", "nets/b.py", "--json"],
    "novelty": ["novelty", "nets"],
    "env": ["env", "secrets"],
    "parked list": ["parked", "list", "--run", "exp", "--json"],
    "parked show": ["parked", "show", "0", "--run", "exp"],
    "parked replay": ["parked", "replay", "--all", "--run", "exp"],
    "parked drop": ["parked", "drop", "--all", "--run", "exp"],
    "model pairs": ["model", "pairs", "made.jsonl", "--count", "2", "--protocol", "digits"],
    "data list": ["data", "list", "--root", "data"],
    "lemur import": ["lemur", "import", "lemur", "--out", "made.corpus"],
    "lemur curate": ["lemur", "curate", "lemur.corpus"],
    "lemur pairs": ["lemur", "pairs", "lemur.corpus", "made.jsonl"],
    "lemur export": ["lemur", "export", "exp", "exported"],
    "data prepare": ["data", "prepare", "mine", "--from", "images", "--root", "data"],
    "env again": ["env", "old.env", "--force"],
    "runs": ["runs", "exp", "going"],
    "candidates": ["candidates", "exp", "--json"],
    "show": ["show", "exp", "0/1"],
    "diff": ["diff", "exp", "0/0", "0/1"],
    "lineage": ["lineage", "exp", "0/1"],
    "adapters": ["adapters", "exp"],
    "acts": ["acts", "exp"],
    "pause": ["pause", "going"],
    "steer": ["steer", "going", "candidates=4", "--pin", "0/1"],
    "submit": ["steer", "going", "--submit", "nets/a.py"],
    "cancel": ["cancel", "going"],
}
LOOKING = {"runs", "candidates", "show", "diff", "lineage", "adapters", "acts"}
PARKED = {"parked replay", "parked drop"}
STEERING = {"pause", "steer", "submit", "cancel"}
SILENT = {"run with pairs", "confirm", "study", "env", "env again", "data list", *STEERING}  # on standard output
WRITING = {
    *("run", "run with pairs", "resume", "report", "transfer", "proxy", "confirm", "study", "env"),
    *("model pairs", "lemur import", "lemur curate", "lemur pairs", "lemur export", "data prepare", "env again"),
    *STEERING,
    *PARKED,
}
LOCKED = {"resume", "report", "transfer", "proxy", "confirm", "study", *PARKED}
READING = set(COMMANDS) - {"version", "help", "doctor", "env", "model pairs", "data list"}
PRINTING = set(COMMANDS) - SILENT
ALL = set(COMMANDS)


class Situation(NamedTuple):
    """What is so before the command starts; which commands then cannot do their work, and with which exit code."""

    before: tuple = ()
    env: Mapping[str, str | None] = MappingProxyType({})
    fails: set = frozenset()
    code: int = 1
    encoding: str = "utf-8"
    mute: bool = False  # nobody could read what is said
    may: set = frozenset()  # which may fail or not


SITUATIONS = {
    "nothing": Situation(),
    "stdout full": Situation((("full", [1]),), fails=PRINTING),
    "stdout closed": Situation((("closed", [1]),), fails=PRINTING),
    "stdout unread": Situation((("unread", [1]),), fails=PRINTING, code=141),
    "stderr full": Situation((("full", [2]),), mute=True),
    "stderr closed": Situation((("closed", [2]),), mute=True),
    "stderr unread": Situation(
        (("unread", [2]),), mute=True, fails={"run", "run with pairs", "resume", "study", "env"}, code=141, may=ALL
    ),
    "both closed": Situation((("closed", [1, 2]),), fails=PRINTING, mute=True),
    "both unread": Situation((("unread", [1, 2]),), fails=PRINTING, code=141, mute=True, may=ALL),
    "stdin closed": Situation((("closed", [0]),)),
    "ascii": Situation(encoding="ascii"),
    "latin-1": Situation(encoding="latin-1"),
    "locale C": Situation((("locale", ["C"]),), {"LC_ALL": "C", "PYTHONUTF8": "0"}, encoding="ascii"),
    "unknown language": Situation(env={"LANG": "xx", "LC_ALL": "xx_XX.UTF-9"}),
    "no home": Situation(env={"HOME": None}),
    "home is nowhere": Situation(env={"HOME": "/nowhere/at/all"}),
    "home is a file": Situation(env={"HOME": "/dev/null"}),
    "home is read-only": Situation((("unprivileged", []),), {"HOME": "/proc"}),
    "no folder for temporary files": Situation(env={"TMPDIR": "/nowhere/at/all"}),
    "temporary files in a file": Situation(env={"TMPDIR": "/dev/null"}),
    "proxies": Situation(env={"HTTP_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "socks5://nonsense:x"}),
    "offline": Situation(env={"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}),
    "no certificates": Situation(env={"SSL_CERT_FILE": "/nowhere.pem", "REQUESTS_CA_BUNDLE": "/nowhere.pem"}),
    "no colour": Situation(env={"NO_COLOR": "1"}),
    "dumb terminal": Situation(env={"TERM": "dumb"}),
    "one column": Situation(env={"COLUMNS": "1", "LINES": "1"}),
    "nonsense columns": Situation(env={"COLUMNS": "-7", "LINES": "x"}),
    "under nohup": Situation((("ignored", [signal.SIGHUP, signal.SIGINT]),)),
    "files of no size": Situation((("limit", ["RLIMIT_FSIZE", 0]),), fails=WRITING - PARKED, may={*PARKED, *LOOKING}),
    "files of 2 KiB": Situation((("limit", ["RLIMIT_FSIZE", 2048]),), fails={"run", "report", "lemur import"}, may=ALL),
    "few files at once": Situation((("limit", ["RLIMIT_NOFILE", 5]),), may=ALL, fails={"run", "resume"}),
    "folder gone": Situation((("gone", []),), fails=READING | WRITING | {"doctor"}),
    "folder cannot be read": Situation(
        (("mode", [".", 0o000]), ("unprivileged", [])), fails=READING | WRITING, may={"doctor", "data list"}
    ),
    "folder is read-only": Situation(
        (("mode", [".", 0o555]), ("mode", ["exp", 0o555]), ("mode", ["study", 0o555]), ("unprivileged", [])),
        fails={
            *("run", "run with pairs", "env", "env again", "model pairs", "lemur import", "lemur pairs"),
            *("lemur export", "data prepare"),
        },
        may=ALL,
    ),
    "umask 777": Situation((("umask", [0o777]), ("unprivileged", [])), fails={"run", "run with pairs"}, may=WRITING),
    "held by another": Situation((("locked", ["exp", "study"]),), fails=LOCKED),
}
MOMENTS = {
    **{f"files of {size} bytes": Situation((("limit", ["RLIMIT_FSIZE", size]),), may=ALL) for size in (1, 200, 9000)},
    **{
        f"{number.name} after {after} s": Situation((("signalled", [after, number]),), code=128 + number, may=ALL)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
        for after in (0.01, 0.04, 0.1, 0.3)
    },
    "interrupted twice": Situation((("signalled", [0.03, signal.SIGINT, signal.SIGINT]),), code=130, may=ALL),
}


@pytest.mark.parametrize("case", [*sampled(SITUATIONS, 3), *sampled(MOMENTS, 8)])
def test_every_command_says_a_line_and_leaves_nothing_half_done(case, server, world, tmp_path):
    situation, wrong = (SITUATIONS | MOMENTS)[case], []
    for name, args in COMMANDS.items():
        folder = tmp_path / name.replace(" ", "-")
        _copy(world, folder)
        ended = server.run(args, folder, situation.before, situation.env, encoding=situation.encoding)
        wrong += [f"{name}: {problem}\n{ended.err[-600:]}" for problem in _problems(name, situation, ended)]
        if ended.code != 0 and folder.exists():
            for each in (folder, folder / "exp", folder / "study", *folder.rglob("new")):
                each.chmod(0o755)
            wrong += [f"{name}: left {path}" for path in _drafts(folder) if ended.code != -signal.SIGKILL]
            wrong += [f"{name}: {path} is half of something" for path in folder.rglob("made.jsonl") if not _whole(path)]
            wrong += [f"{name}: {path} is lost" for path in [folder / "old.env"] if "=kept\n" not in path.read_text()]
            again = server.run(args, folder)
            if again.code != 0 and not (name == "env" and "is there" in again.err) and not _done(name, again):
                wrong.append(f"{name}: after that it ends with {again.code}: {again.err[-600:]}")
    assert not wrong, "\n".join(wrong)


def _problems(name, situation, ended):
    if "Traceback" in ended.err or "Exception ignored" in ended.err or "never retrieved" in ended.err:
        yield "a traceback"
    wanted = {situation.code if name in situation.fails else 0}
    if name in situation.may:
        wanted |= {0, 1, situation.code}
    if (128 - ended.code if ended.code < 0 else ended.code) not in wanted:  # as a shell has it
        yield f"ended with {ended.code}, not {sorted(wanted)}"
    told = [line for line in ended.err.splitlines() if line.startswith("error [")]
    if ended.code == 1 and not situation.mute and len(told) != 1:
        yield f"told of it in {len(told)} lines"
    if ended.code in {0, 141} and told:
        yield "an error that is none"


def _drafts(folder: Path):
    """Half of something."""
    for path in folder.rglob("*"):
        is_named_so = path.suffix in {".partial", ".tmp"} or (path.name.startswith(".") and path.name != ".lock")
        if is_named_so and path.is_file():  # what a data set goes on from is a folder
            yield path


def _whole(path: Path) -> bool:
    """Whether there are as many pairs as the command writes, each of them whole."""
    lines = path.read_text().splitlines()
    return all(json.loads(line) for line in lines) and len(lines) >= 2


def _done(name: str, again) -> bool:
    """What was done though its results could not be printed."""
    return (name.startswith("run") and "holds a run already" in again.err) or (
        name == "parked replay" and again.code == 0
    )


def _copy(world: Path, folder: Path) -> None:
    subprocess.run(["cp", "-a", world, folder], check=True)
