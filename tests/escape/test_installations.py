"""However Python and the packages were installed, the sandbox shows the same of them."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.evaluator.sandbox import landlock
from tests.escape.arena import skip_or_fail

pytestmark = pytest.mark.asyncio(loop_scope="session")

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
STDLIB, SITE = f"python/lib/{VERSION}", f"python/lib/{VERSION}/site-packages"
VENV = f"venv/lib/{VERSION}/site-packages"
LIBRARY = {f"{STDLIB}/os.py": "", f"{STDLIB}/json/tool.py": ""}
TESTS = {f"{STDLIB}/test/cifar.csv": "", f"{SITE}/pip/__init__.py": "", f"{SITE}/pandas/iris.csv": ""}


def wheel(site: str, name: str, *files: str, requires: str = "") -> dict[str, str]:
    """Files of an installed wheel, with a RECORD of them."""
    info = f"{name}-1.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{requires}"
    record = "".join(f"{file},,\n" for file in (*files, f"{info}/METADATA", f"{info}/RECORD", "../../../bin/run"))
    return {
        **{f"{site}/{file}": "" for file in files},
        f"{site}/{info}/METADATA": metadata,
        f"{site}/{info}/RECORD": record,
    }


def shown(site: str, *names: str, more: tuple[str, ...] = ()) -> set[str]:
    return {f"{site}/{name}-1.dist-info/METADATA" for name in names} | {f"{site}/{file}" for file in more}


@dataclass(frozen=True)
class Case:
    """Files to make, links among them (place to target), where imports look, and what is to be seen of it all."""

    files: dict[str, str]
    path: tuple[str, ...]
    seen: set[str]
    links: dict[str, str] = None


NET = ("madenet/__init__.py", "madenet/nn/deep.py", "madenet.libs/libfast.so.1")
TABLE = ("sklearn/data/digits.csv.gz", "sklearn/__init__.py")
REQUIRES = (
    "Requires-Dist: Made_Maths[fast]\nRequires-Dist: sklearn; extra == 'x'\nRequires-Dist: sklearn; os_name == 'nt'\n"
)
CASES = {
    "a virtual environment": Case(
        LIBRARY | TESTS | wheel(VENV, "madenet", *NET) | wheel(VENV, "sklearn", *TABLE),
        (VENV,),
        {*LIBRARY} | shown(VENV, "madenet", more=NET),
    ),
    "the interpreter's own site-packages": Case(
        LIBRARY | TESTS | wheel(SITE, "madenet", *NET) | wheel(SITE, "sklearn", *TABLE),
        (SITE,),
        {*LIBRARY} | shown(SITE, "madenet", more=NET),
    ),
    "a distribution of Linux": Case(
        LIBRARY | TESTS | {f"python/lib/python3/dist-packages/{file}": "" for file in (*NET, *TABLE)},
        ("python/lib/python3/dist-packages",),
        {*LIBRARY, *(f"python/lib/python3/dist-packages/{file}" for file in NET[:2])},
    ),
    "a development checkout": Case(
        LIBRARY | TESTS | wheel(VENV, "madenet", "madenet.pth") | {f"work/src/{NET[0]}": "", "work/data.csv": ""},
        (VENV, "work/src"),
        {*LIBRARY, f"work/src/{NET[0]}"} | shown(VENV, "madenet"),
    ),
    "requirements, and what they require": Case(
        LIBRARY
        | wheel(VENV, "madenet", NET[0], requires=REQUIRES)
        | wheel(VENV, "made_maths", "maths.py", requires="Requires-Dist: madefast>1; extra == 'fast'\n")
        | wheel(VENV, "madefast", "fast/__init__.py")
        | wheel(VENV, "sklearn", *TABLE),
        (VENV,),
        {*LIBRARY} | shown(VENV, "madenet", "made_maths", "madefast", more=(NET[0], "maths.py", "fast/__init__.py")),
    ),
    "a folder that packages share": Case(
        LIBRARY
        | wheel(VENV, "madenet", NET[0], "vendor/fast/lib/libfast.so", "vendor/fast/include/fast.h")
        | wheel(VENV, "madedata", "vendor/data/svhn.npz"),
        (VENV,),
        {*LIBRARY} | shown(VENV, "madenet", more=(NET[0], "vendor/fast/lib/libfast.so")),
    ),
    "tests that come with data": Case(
        LIBRARY
        | wheel(VENV, "madenet", NET[0], "madenet/tests/test_a.py", "madenet/lib/tests/a.npy", "madenet/lib/b.py"),
        (VENV,),
        {*LIBRARY} | shown(VENV, "madenet", more=(NET[0], "madenet/tests/test_a.py", "madenet/lib/b.py")),
    ),
    "links": Case(
        LIBRARY | TESTS | wheel("store/v1", "madenet", *NET) | wheel("store/v1", "sklearn", *TABLE),
        ("current",),
        {*LIBRARY} | shown("store/v1", "madenet", more=NET),
        {"current": "store/v1"},
    ),
}  # fmt: skip


@pytest.fixture(params=["/tmp", "/var/tmp"])
def root(request):
    """Below the folder that candidates have as their scratch, and elsewhere; with a blank and a colon in its name."""
    folder = Path(tempfile.mkdtemp(dir=request.param, prefix="an installation: "))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def install(case: Case, root: Path) -> str:
    for name, text in case.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name, target in (case.links or {}).items():
        (root / name).symlink_to(target)
    path = [str(root / name) for name in case.path]
    return json.dumps({"root": str(root), "prefix": str(root / "python"), "path": path, "names": ["madenet"]})


@pytest.mark.parametrize("level", ["process", "namespaces"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_only_what_is_needed_of_it_can_be_read(case, root, level):
    if level == "process" and not landlock.abi():
        skip_or_fail("the kernel has no Landlock")
    command = [sys.executable, "-m", "tests.escape.installed", level, install(case, root)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    told, problem = await process.communicate()
    if process.returncode and b"Operation not permitted" in problem:
        skip_or_fail(problem.decode()[-300:])
    assert process.returncode == 0, problem.decode()
    assert {str(Path(file).relative_to(root)) for file in json.loads(told)} == case.seen
