"""Tokens a second of LoRA on a CPU: the lean loop, plain peft loops and TRL's SFTTrainer on the same pairs.

    python benchmarks/trainer.py

Every method has a process of its own, with model and threads alike, and they take turns within a round, so that
whatever else the machine does meets all of them. A turn is a training of a few steps, of which the first, that warms
up, does not count. Tokens are those of the pairs, padding left out. Adds its rounds to those of the same settings in
benchmarks/results/trainer.json, and makes docs/results/trainer.md of all: a machine that is idle for some minutes at a
time is enough. What a step of the service costs around its training: benchmarks/trainer_step.py.
"""

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from archloop.contracts.training import TrainingSpec
from archloop.training_pairs import encoded
from services.generator.model_build import corpus
from services.trainer.plan import Precision

RESULT, PAGE = Path("benchmarks/results/trainer.json"), Path("docs/results/trainer.md")
IGNORED = -100


class Method(NamedTuple):
    """A way to train: by which loop, in which precision, and what the table says of it."""

    loop: str
    dtype: Precision
    says: str
    batch_size: int | None = None


METHODS = {
    "plain, float32": Method("plain", "float32", "peft as in its own examples: padded batches, all logits"),
    "plain, bfloat16": Method("plain", "bfloat16", "the same, the base model in bfloat16"),
    "TRL": Method("trl", "float32", "`engine: trl`"),
    "lean, padded": Method("padded", "float32", "the lean loop as it is for small models, and was for large ones"),
    "lean, float32": Method("lean", "float32", "as `lean`, in float32"),
    "lean": Method("lean", "bfloat16", "`engine: lean`: packed, answers' logits alone, adapter and layer as one"),
    "lean, single": Method("lean", "bfloat16", "as `lean`, one pair at a time instead of packed", 1),
}


class Mark(NamedTuple):
    """After a step: the clock, and the tokens until then."""

    at: float
    tokens: int


def pairs(count: int, template: str = "brief") -> bytes:
    return encoded(example.pair.line() for example in corpus.write(1, count, template=template))


def plain(model: Any, examples: Any, job: Any, pad: int, report: Callable[[Any], None]) -> None:
    """The loop that a user of peft writes: shuffled batches, padded on the right, and the model's own loss."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def padded(rows: list[list[int]], value: int) -> Any:
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)

    spec, tokens = job.training, 0
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=spec.learning_rate)
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(job.seed)).tolist()
    model.train()
    for start in range(0, len(order), spec.batch_size):
        batch = [examples[index] for index in order[start : start + spec.batch_size]]
        ids = padded([e.input_ids for e in batch], pad)
        mask = padded([[1] * len(e.input_ids) for e in batch], 0)
        labels = padded([e.labels for e in batch], IGNORED)
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += sum(len(e.input_ids) for e in batch)
        report(argparse.Namespace(tokens=tokens))


def trainings(options: argparse.Namespace) -> Iterator[float]:
    """Yield tokens a second of one training after the other, in this process."""
    import torch

    from archloop.training_pairs import read
    from services.trainer import lora, packed, plan, tuning
    from services.trainer.job import Job
    from services.trainer.pairs import encode

    torch.set_num_threads(options.threads)
    method = METHODS[options.method]
    if method.loop == "padded":
        packed.possible = lambda model: False  # noqa: ARG005
    size, steps = method.batch_size or options.batch_size, options.steps + 1
    accumulation = options.batch_size // size
    spec = TrainingSpec(batch_size=size, accumulation=accumulation, epochs=1, learning_rate=1e-4, max_length=4096)
    machine = plan.CPU._replace(precision=method.dtype)
    base = tuning.load(options.base_model, spec, machine)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pairs.jsonl")
        path.write_bytes(pairs(options.batch_size * steps, options.template))
        examples = encode(read(path), base.tokenizer, spec.max_length).examples
        loop = importlib.import_module(f"services.trainer.{'trl' if method.loop == 'trl' else 'lean'}").train
        job = Job(base_model=options.base_model, pairs=path, out=Path(folder, "out"), training=spec, seed=0)
        model = lora.attach(base.model, spec, None)
        while True:
            marks: list[Mark] = []

            def report(progress: Any, marks: list[Mark] = marks) -> None:
                marks.append(Mark(time.perf_counter(), progress.tokens))

            if method.loop == "plain":
                plain(model, examples, job, base.tokenizer.pad_token_id, report)
            else:
                loop(model, examples, job, machine, tokenizer=base.tokenizer, report=report)
            yield (marks[-1].tokens - marks[0].tokens) / (marks[-1].at - marks[0].at)


def serve(options: argparse.Namespace) -> None:
    """Train once for each line of stdin; answer with speed and peak memory."""
    turns = trainings(options)
    for _ in sys.stdin:
        speed = next(turns)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"tokens_s": speed, "peak_mib": peak}), flush=True)


def started(method: str, options: argparse.Namespace) -> "subprocess.Popen[str]":
    command = ["env", "OMP_WAIT_POLICY=passive", sys.executable, __file__, "--method", method]
    for name in ("base_model", "template", "batch_size", "steps", "threads"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def turn(process: "subprocess.Popen[str]") -> dict[str, float]:
    asked, answers = process.stdin, process.stdout
    assert asked is not None
    assert answers is not None
    asked.write("\n")
    asked.flush()
    return _answer(answers)


def alone(method: str, options: argparse.Namespace) -> dict[str, float]:
    """Return a method's figures from a process of its own, which has the memory to itself."""
    process = started(method, options)
    try:
        return turn(process)
    finally:
        process.kill()
        process.wait()


def _answer(answers: IO[str]) -> dict[str, float]:
    """Read on to the row: libraries print too."""
    for line in answers:
        if line.startswith('{"tokens_s"'):
            row: dict[str, float] = json.loads(line)
            return row
    raise SystemExit("a method's process is gone; see what it said")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    names = options.methods or list(METHODS)
    asked = {name: getattr(options, name) for name in ("base_model", "template", "batch_size", "steps", "threads")}
    asked |= {"cores": os.cpu_count(), "cpu": platform.processor(), "methods": names}
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    same = all(before.get(name) == value for name, value in asked.items())
    rounds, loads = (before["rounds"], before["loads before"]) if same else ([], [])
    for _ in range(options.repeats):
        loads.append(os.getloadavg()[0])
        rounds.append({name: alone(name, options) for name in names})
        print(f"round {len(rounds)}:", {n: round(row["tokens_s"]) for n, row in rounds[-1].items()}, flush=True)
    return {**asked, "loads before": loads, "rounds": rounds}


def row(result: dict[str, Any], name: str) -> str:
    taken = [each[name] for each in result["rounds"]]
    speeds = [each["tokens_s"] for each in taken]
    ratios = (
        statistics.median(each[name]["tokens_s"] / each[other]["tokens_s"] for each in result["rounds"])
        for other in ("plain, float32", "plain, bfloat16", "lean, padded")
        if other in result["rounds"][0]
    )
    peak = max(each["peak_mib"] for each in taken)
    speed = f"{statistics.median(speeds):.0f} [{min(speeds):.0f}–{max(speeds):.0f}]"
    compared = " | ".join(f"{ratio:.2f}" for ratio in ratios)
    return f"| {name} | {METHODS[name].says} | {speed} | {compared} | {peak:,.0f} |"


def page(result: dict[str, Any]) -> str:
    others = [f"÷ {o}" for o in ("plain, float32", "plain, bfloat16", "lean, padded") if o in result["rounds"][0]]
    head = ["method", "what it is", "tokens/s", *others, "peak MiB"]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "--:|" * (len(head) - 2)]
    lines += [row(result, name) for name in result["rounds"][0]]
    load = statistics.median(result["loads before"])
    return TEXT.format(table="\n".join(lines), count=len(result["rounds"]), load=load, **result)


TEXT = """# Tuning on a CPU

By `benchmarks/trainer.py`: LoRA (r 16, all linear layers) of `{base_model}` on pairs of the seed networks (template
`{template}`), {batch_size} a step. Medians of {count} round(s), the lowest and highest in brackets; in a round every
method has its turn of {steps} step(s) after one to warm up, and ratios are taken within one. {threads} threads on
{cores} cores; {load:.1f} other programs computed or waited to before a round began, so take the ratios where that is
not 0. Tokens are those of the pairs, without padding. Numbers in [JSON](../../benchmarks/results/trainer.json).

{table}

`plain` is peft's LoRA in a loop without anything else: what a user would write. The peak is of the whole process, with
libraries and model.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-model", default="smollm2")
    parser.add_argument("--template", default="short")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1, help="of a turn, besides the first")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=1, help="rounds to add")
    parser.add_argument("--methods", nargs="*", choices=METHODS)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        serve(options)
        return
    result = measure(options)
    if not options.dry:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(page(result))
    print(page(result))


if __name__ == "__main__":
    main()
