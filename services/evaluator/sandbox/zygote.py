"""The fork server's first steps: confine itself, load torch inside the jail, say that it is ready, serve."""

import os
import socket
from typing import NoReturn

from archloop.errors import SandboxUnavailable
from archloop.ops.process import die_with_parent
from services.evaluator.sandbox import seccomp  # noqa: F401 - finds its C library with tools that the jail lacks
from services.evaluator.sandbox.host import confined
from services.evaluator.sandbox.wire import encode


def main(channel_fd: int, packages: list[str], *, namespaces: bool, gpu: bool) -> NoReturn:
    """Never returns; ends when the service does."""
    die_with_parent()
    channel = socket.socket(fileno=channel_fd)
    try:
        host = confined(packages, namespaces=namespaces, gpu=gpu)
        from services.evaluator.sandbox.server import Server  # torch comes with it, and only now

        server = Server(channel, host)
    except (OSError, ImportError, SandboxUnavailable) as error:
        channel.send(encode(failed=str(error)))
        os._exit(1)
    channel.send(encode(landlock=host.landlock))
    server.serve()
    os._exit(0)
