"""`python -m services.generator.modelserver --model tiny --port 8080`."""

import argparse
import os
import socket
import sys

from archloop.errors import ArchloopError
from archloop.ops.process import die_with_parent, loading
from archloop.sanitising import plain

_BODY_BYTES = 2**24
_TUNABLES = "GLIBC_TUNABLES"
_WEIGHTS = "numbers of the weights; auto: bfloat16 on a GPU, int8 for large models of Llama's shape, else float32"


def main() -> None:
    """Serve until a signal ends it. The port is bound, and printed, before the model is read."""
    options = _options()
    _with_settings()
    if options.parent:
        die_with_parent()
        if os.getppid() != options.parent:
            return
    with socket.create_server((options.host, options.port), backlog=1024) as listener:
        # accepted sockets inherit it; without it every small answer waits for the client's delayed ACK
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")  # noqa: TID251
        sys.stdout.flush()
        try:
            _serve(options, listener)
        except ArchloopError as error:
            sys.stderr.write(f"error [{error.code}] {plain(' '.join(str(error).split()))}\n")  # noqa: TID251
            sys.exit(1)


def _with_settings() -> None:
    """Begin again with settings that libraries read at their start, unless they are given.

    Huge pages, where the C library has them: reading the weights is then twice as fast. And threads that wait for each
    other asleep: where something else computes too, one that spins keeps the processor from the one that it waits for.
    """
    environment = os.environ  # noqa: TID251 - settings of libraries'
    before, tunables = dict(environment), environment.get(_TUNABLES, "")
    if "hugetlb" not in tunables:
        environment[_TUNABLES] = ":".join(filter(None, (tunables, "glibc.malloc.hugetlb=1")))
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    if environment != before:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this very program


def _serve(options: argparse.Namespace, listener: socket.socket) -> None:
    with loading():
        import torch
        import uvicorn

        from archloop.ops.doors import Doors, Guarded
        from services.generator.modelserver.app import application
        from services.generator.modelserver.fleet import Fleet
        from services.generator.modelserver.models import load_base

    torch.set_num_threads(options.threads)
    base = load_base(options.model, options.max_total_tokens, weights=options.weights, device=options.device)
    fleet = Fleet(base, options.slots, options.threads)
    app = Guarded(application(fleet, options.max_concurrent_requests), Doors(options.host, body_bytes=_BODY_BYTES))
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="services.generator.modelserver", description=__doc__)
    parser.add_argument("--model", default="tiny", help="a model of archloop.models, a folder, or a hub id")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one, told on stdout")
    parser.add_argument("--slots", type=int, default=16, help="sequences decoded together, a multiple of 8")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads, where they help")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU such as cuda:0")
    parser.add_argument("--weights", default="auto", choices=("auto", "float32", "bfloat16", "int8"), help=_WEIGHTS)
    parser.add_argument("--max-total-tokens", type=int, default=2048, help="prompt and answer together")
    parser.add_argument("--max-concurrent-requests", type=int, default=128, help="above it: 429")
    parser.add_argument("--parent", type=int, help="process id of the starter, with which to end")
    return parser.parse_args()


if __name__ == "__main__":
    main()
