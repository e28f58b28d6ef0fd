"""What of a made-up installation a candidate could read: `python -m tests.escape.installed LEVEL JSON` prints it.

The installation is this interpreter's from here on, as far as the sandbox asks for it.
"""

import json
import os
import sys
from pathlib import Path

from services.evaluator.sandbox import jail, kernel, landlock
from services.evaluator.sandbox.contents import needed
from services.evaluator.sandbox.host import confined, new_user_namespace


def readable(files: list[str]) -> list[str]:
    found = []
    for file in files:
        try:
            Path(file).read_bytes()
        except OSError:
            continue
        found.append(file)
    return found


def main(level: str, installation: str) -> None:
    told = json.loads(installation)
    files = [f"{folder}/{name}" for folder, _, names in os.walk(told["root"]) for name in names]
    sys.base_prefix = sys.base_exec_prefix = told["prefix"]
    sys.path[:0] = told["path"]
    contents = needed(told["names"])
    if level == "namespaces":
        host = confined(contents, namespaces=True)
        new_user_namespace(host.proc, kernel.CLONE_NEWNS)
        jail.mount_scratch(contents, size=1 << 16, mode=0o700)
    else:
        kernel.no_new_privileges()
        landlock.confine(landlock.abi(), dict(jail.readable(contents)))
    print(json.dumps(readable(files)))


if __name__ == "__main__":
    main(*sys.argv[1:])
