"""The check of isolation where names come from elsewhere, in network namespaces: a cache on the node, and nobody."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.escape.arena import skip_or_fail

CACHE = "169.254.20.10"  # NodeLocal DNSCache's
SERVER = """
import socket, threading

def answer(query):
    end = query.index(0, 12) + 5
    kind = query[end - 4 : end - 2]
    record = b"\\xc0\\x0c" + kind + b"\\x00\\x01\\x00\\x00\\x00\\x05\\x00\\x04" + socket.inet_aton("127.0.0.9")
    count = 1 if kind == b"\\x00\\x01" else 0
    head = query[:2] + b"\\x81\\x80\\x00\\x01" + bytes([0, count]) + b"\\x00\\x00\\x00\\x00"
    return head + query[12:end] + record * count

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("169.254.20.10", 53))

def serve():
    while True:
        query, client = server.recvfrom(512)
        server.sendto(answer(query), client)

threading.Thread(target=serve, daemon=True).start()
"""
CHECK = """
import asyncio
from archloop.errors import ArchloopError
from services.evaluator.isolation import nobody_answers
from services.evaluator.settings import EvaluatorSettings

try:
    asyncio.run(nobody_answers(EvaluatorSettings(out_of_reach="mongo:27017", out_of_reach_s=1, slots=1)))
    print("isolated")
except ArchloopError as error:
    print(error.code, error)
"""


def checked(tmp_path: Path, program: str, address: str, *, listening: bool = False) -> str:
    """What the check says in a network where names are asked for at the address."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        skip_or_fail("no unshare or ip here")
    (tmp_path / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:1 attempts:1\n")
    (tmp_path / "nsswitch.conf").write_text("hosts: files dns\n")
    (tmp_path / "program.py").write_text(program + (LISTENER if listening else "") + textwrap.dedent(CHECK))
    script = " && ".join(
        [
            f"mount --bind {tmp_path}/resolv.conf $(realpath /etc/resolv.conf)",
            f"mount --bind {tmp_path}/nsswitch.conf /etc/nsswitch.conf",
            "ip link set lo up",
            f"ip address add {CACHE}/32 dev lo",
            f"{sys.executable} {tmp_path}/program.py",
        ]
    )
    command = ["unshare", "--net", "--mount", "--map-root-user", "sh", "-c", script]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False, cwd=Path(__file__).parents[2]
    )
    if done.stderr.startswith(("unshare:", "mount:")):
        skip_or_fail(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


LISTENER = """
mongo = socket.create_server(("127.0.0.9", 27017))
"""


def test_a_cache_on_the_node_answers(tmp_path):
    assert checked(tmp_path, SERVER, CACHE) == "isolated"


def test_what_it_names_is_tried(tmp_path):
    assert checked(tmp_path, SERVER, CACHE, listening=True).startswith("not_isolated mongo:27017 can be reached")


def test_where_nobody_answers_it_is_names_that_are_missing(tmp_path):
    said = checked(tmp_path, "", "10.96.0.10")
    assert said.startswith("unresolved names do not resolve: no answer about mongo:27017")
    assert "components/dns" in said
