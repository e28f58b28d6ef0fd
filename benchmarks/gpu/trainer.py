"""Tuning on a GPU, as the service does it: LoRA in bfloat16, QLoRA in 4 bits, and when memory runs out for real."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from archloop.contracts.training import TrainingSpec
from archloop.training_pairs import encoded
from benchmarks.gpu.given import ROOT, Figures, Given
from benchmarks.gpu.models import base_model
from services.generator.model_build import corpus
from services.trainer.job import Job, TrainingRefused, Tuned
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings

# Another process that holds all of the GPU's memory but so much, as other users do.
_BALLAST = """
import sys, torch
free, _ = torch.cuda.mem_get_info()
held = torch.empty(max(0, free - int(sys.argv[1])), dtype=torch.uint8, device="cuda")
print("held", flush=True)
sys.stdin.read()
"""
_LEFT_BYTES = 4 * 1024**3


async def measure(given: Given) -> None:
    model = await asyncio.to_thread(base_model, given)
    count = given.few(8, 512)
    # Few steps at a low rate would change no answer, and such an adapter is refused: nobody could prove it served.
    plain = TrainingSpec(engine="trl", epochs=2, minimum_steps=given.few(40, 48), batch_size=given.few(4, 16))
    await given.step("LoRA, bfloat16", partial(_tuned, given, model, plain, count))
    quantised = plain.model_copy(update={"quantization": "nf4", "gradient_checkpointing": True})
    await given.step("QLoRA, 4 bits", partial(_quantised, given, model, quantised, count))
    large = plain.model_copy(update={"batch_size": given.few(4, 128), "minimum_steps": given.few(40, 24)})
    await given.step("out of memory", partial(_starved, given, model, large, max(count, large.batch_size)))


async def _tuned(given: Given, model: str, spec: TrainingSpec, count: int) -> Figures:
    tuned = await _tune(given, model, spec, count)
    return {
        "tokens a second": tuned.tokens_per_second,
        "seconds": tuned.seconds,
        "steps": tuned.steps,
        "first and last loss": [round(loss, 3) for loss in (tuned.loss_curve[0], tuned.loss_curve[-1])],
        "pairs at once": tuned.shape.batch_size,
    }


async def _quantised(given: Given, model: str, spec: TrainingSpec, count: int) -> Figures:
    try:
        return await _tuned(given, model, spec, count)
    except TrainingRefused as refusal:
        if not given.dry:
            raise
        return {"refused": str(refusal)}  # as it must be on a CPU


async def _starved(given: Given, model: str, spec: TrainingSpec, count: int) -> Figures:
    """Tune beside a process that holds nearly all of the memory, with more pairs at once than fit."""
    async with _ballast(given):
        return {"asked at once": spec.batch_size, **await _tuned(given, model, spec, count)}


async def _tune(given: Given, model: str, spec: TrainingSpec, count: int) -> Tuned:
    number = len(list(given.folder.iterdir()))
    path = given.folder / f"{number}.jsonl"
    lines = (example.pair.line() for example in await asyncio.to_thread(corpus.write, 1, count))
    path.write_bytes(encoded(lines))
    settings = TrainerSettings(base_model=model, threads=2, gpus=0 if given.dry else 1)
    job = Job(base_model=model, pairs=path, out=Path(given.folder, f"{number}.out"), training=spec, seed=0)
    async with ProcessTuner(settings) as tuner:
        return await tuner.tune(job)


@asynccontextmanager
async def _ballast(given: Given) -> AsyncIterator[None]:
    if given.dry:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BALLAST, str(_LEFT_BYTES), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        if (await process.stdout.readline()).strip() != b"held":
            raise RuntimeError("the memory of the GPU could not be filled")
        yield
    finally:
        process.kill()
        await process.wait()
