"""What one tuning step costs: the lean loop and TRL's SFTTrainer, side by side on the same pairs.

    python benchmarks/trainer_step.py --out step.json

`step` goes through the service's own handler with a warm process: read the pairs, train, save, probe, publish.
The other columns are taken in a process of their own: `cpu` is its processor time for the job, `set-up` what the
method needs before and after its optimiser steps (imports, trainer, data set), `training` the steps themselves.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import TrainingRequested
from archloop.contracts.training import TrainingSpec
from benchmarks.trainer import pairs
from services.trainer.handlers import TrainerHandler
from services.trainer.job import Job
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings

METHODS = ("lean", "trl")


async def steps(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of each whole step, by method, and of the start of the process."""
    settings = TrainerSettings(base_model=options.base_model, threads=options.threads)
    seconds: dict[str, list[float]] = {"first, with the start": [], **{method: [] for method in METHODS}}
    with tempfile.TemporaryDirectory() as folder:
        blobs = DirectoryBlobs(Path(folder))
        ref = await blobs.put("pairs.jsonl", pairs(options.pairs))
        async with ProcessTuner(settings) as tuner:
            handler = TrainerHandler(blobs, tuner)
            for turn in range(-1, options.repeats):
                for method in METHODS if turn >= 0 else METHODS[:1]:
                    message = TrainingRequested(
                        run_id="benchmark",
                        cycle=0,
                        adapter=f"{method}-{turn + 1}",
                        base_model=options.base_model,
                        pairs=ref,
                        pair_count=options.pairs,
                        training=TrainingSpec(engine=method),
                        seed=0,
                    )
                    (trained,) = await handler.handle(message)
                    seconds[method if turn >= 0 else "first, with the start"].append(trained.seconds)
    return seconds


def parts(method: str, options: argparse.Namespace) -> dict[str, float]:
    """One job in this process, taken apart."""
    import torch

    from services.trainer import tuning

    torch.set_num_threads(options.threads)
    base = tuning.load(options.base_model)
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pairs.jsonl")
        path.write_bytes(pairs(options.pairs))
        training = TrainingSpec(engine=method)
        job = Job(base_model="tiny", pairs=path, out=Path(folder, "out"), training=training, seed=0)
        before, cpu = time.perf_counter(), time.process_time()
        tuned = tuning.tune(job, base, lambda _: marks.append(time.perf_counter()))
        whole, cpu = time.perf_counter() - before, time.process_time() - cpu
    training_s = (marks[-1] - marks[0]) * len(marks) / (len(marks) - 1)
    return {"whole": whole, "cpu": cpu, "training": training_s, "steps": len(marks), "last loss": tuned.loss_curve[-1]}


def apart(method: str, options: argparse.Namespace) -> dict[str, float]:
    command = ("env", "OMP_WAIT_POLICY=passive", sys.executable, __file__, "--parts", method)
    numbers = ("--base-model", options.base_model, "--pairs", str(options.pairs), "--threads", str(options.threads))
    done = subprocess.run([*command, *numbers], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    load = os.getloadavg()[0]
    taken = {method: [apart(method, options) for _ in range(options.repeats)] for method in METHODS}
    whole = asyncio.run(steps(options))
    return {
        "pairs": options.pairs,
        "epochs": TrainingSpec().epochs,
        "threads": options.threads,
        "cores": os.cpu_count(),
        "load before": load,
        "start": whole["first, with the start"][0] - statistics.median(whole["lean"]),
        "methods": {m: _row(whole[m], taken[m]) for m in METHODS},
    }


def _row(whole: list[float], taken: list[dict[str, float]]) -> dict[str, float]:
    def middle(key: str) -> float:
        return statistics.median(part[key] for part in taken)

    setup = statistics.median(part["whole"] - part["training"] for part in taken)
    row = {key: middle(key) for key in ("training", "cpu", "steps", "last loss")}
    return {"step": statistics.median(whole), "set-up": setup, **row}


def table(result: dict[str, Any]) -> str:
    lines = ["| method | step, s | training, s | set-up, s | cpu, s | last loss |", "|---|---|---|---|---|---|"]
    columns = ("step", "training", "set-up", "cpu", "last loss")
    for method, row in result["methods"].items():
        lines.append(f"| {method} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-model", default="tiny")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.parts:
        print(json.dumps(parts(options.parts, options)))
        return
    result = measure(options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result), f"\nThe process takes {result['start']:.1f} s to start, once.", sep="\n")


if __name__ == "__main__":
    main()
