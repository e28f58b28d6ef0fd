"""Python as another user, or without namespaces: `python -m tests.escape.restricted [user=N] [bare] -- ARGS`."""

import os
import sys
from pathlib import Path


def become(uid: int) -> None:
    """Shed root; the interpreter must stay readable even where it lies below a private home directory."""
    from services.evaluator.sandbox import kernel

    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    for prefix in {Path(sys.base_prefix), Path(sys.prefix), Path.cwd()}:
        _open_way(prefix, kernel)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def forbid_namespaces() -> None:
    """As a container's default seccomp profile does."""
    import errno

    import pyseccomp as libseccomp

    rules = libseccomp.SyscallFilter(defaction=libseccomp.ALLOW)
    rules.add_rule(libseccomp.ERRNO(errno.EPERM), "unshare")
    rules.load()


def _open_way(prefix: Path, kernel) -> None:
    """If one of its parents is private, an open one is mounted over that with nothing but `prefix` in it."""
    private = [parent for parent in reversed(prefix.parents) if not parent.stat().st_mode & 0o001]
    if not private:
        return
    kept = os.open(prefix, os.O_PATH)
    kernel.mount("way", str(private[0]), "tmpfs", 0, "mode=755")
    prefix.mkdir(parents=True)
    kernel.mount(f"/proc/self/fd/{kept}", str(prefix), None, kernel.MS_BIND | kernel.MS_REC)


def main() -> None:
    split = sys.argv.index("--")
    for option in sys.argv[1:split]:
        if option == "bare":
            forbid_namespaces()
        else:
            become(int(option.removeprefix("user=")))
    os.execv(sys.executable, [sys.executable, *sys.argv[split + 1 :]])


if __name__ == "__main__":
    main()
