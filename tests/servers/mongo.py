"""A server that speaks MongoDB's protocol, in memory: mongoeco, which needs a newer Python than Archloop does."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import ServerMissing, started, wait_for

_PACKAGE = "mongoeco[wire]==4.11.0"
_SCRIPT = Path(__file__).with_name("mongoeco_server.py")
_USER, _PASSWORD = "archloop", "not-a-secret"


@contextmanager
def mongo_server(folder: Path) -> Iterator[str]:
    """Yields the URL. Raises ServerMissing."""
    log = folder / "log"
    with started([_interpreter(), _SCRIPT, _USER, _PASSWORD], log) as process:
        wait_for(lambda: log.read_bytes().strip().isdigit(), process, log, 20)
        port = int(log.read_bytes())
        # The mechanism is not negotiated by this server; a MongoDB that wants another is named by its own URL.
        yield f"mongodb://{_USER}:{_PASSWORD}@127.0.0.1:{port}/?directConnection=true&authMechanism=SCRAM-SHA-256"


def _interpreter() -> Path:
    """A Python that has the server, from an environment that is made once for all sessions."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archloop-tests"
    home = cache / _PACKAGE.translate(str.maketrans("[]=", "---"))
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / ".ready").exists():
            _run(_newer_python(), "-m", "venv", "--clear", home)
            _run(home / "bin" / "python", "-m", "pip", "install", "--quiet", _PACKAGE)
            (home / ".ready").touch()
    return home / "bin" / "python"


def _newer_python() -> Path:
    pyenv = sorted(Path.home().glob(".pyenv/versions/3.1[3-9]*/bin/python"))
    named = [Path(found) for minor in (13, 14, 15) if (found := shutil.which(f"python3.{minor}"))]
    for each in (*pyenv, *named):
        # A name on the PATH may be a shim for a version that is not there.
        if subprocess.run([each, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0:
            return each
    raise ServerMissing(f"{_PACKAGE} needs Python 3.13 or newer")


def _run(*command: object) -> None:
    try:
        subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, timeout=45)
    except subprocess.TimeoutExpired as error:
        raise ServerMissing(f"{error.cmd}: not done in {error.timeout} s") from error
    except subprocess.CalledProcessError as error:
        raise ServerMissing(f"{error.cmd}: {error.stderr[-500:]}") from error
