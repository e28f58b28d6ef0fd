"""The fork server's first steps: confine itself, load torch inside the jail, report that it is ready, serve."""

import importlib
import os
import socket
from typing import NoReturn

from archloop.errors import SandboxUnavailable
from archloop.ops.process import die_with_parent

# All of ours that it needs but the harness, before it goes where there is nothing else of ours. Seccomp finds its
# C library with tools that the jail lacks.
from services.evaluator.sandbox import imports
from services.evaluator.sandbox.contents import needed
from services.evaluator.sandbox.host import confined
from services.evaluator.sandbox.server import Server
from services.evaluator.sandbox.wire import encode


def main(channel_fd: int, *, namespaces: bool, gpu: bool) -> NoReturn:
    """Run the fork server; ends when the service does, and never returns."""
    die_with_parent()
    channel = socket.socket(fileno=channel_fd)
    try:
        host = confined(needed(gpu=gpu), namespaces=namespaces, gpu=gpu)
        importlib.invalidate_caches()  # folders hold less than they did
        if not namespaces:
            imports.restrict(host.contents)
        server = Server(channel, host)
    except (OSError, ImportError, SandboxUnavailable) as error:
        channel.send(encode(failed=str(error)))
        os._exit(1)
    channel.send(encode(landlock=host.landlock))
    server.serve()
    os._exit(0)
