"""The adapter with which a run starts: the base model tuned on given pairs, before the first cycle."""

import asyncio
from pathlib import Path

from rich.console import Console

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import TrainingRequested
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import AdapterRef, sha256_of
from archloop.errors import NotFound
from services.trainer.handlers import TrainerHandler
from services.trainer.process import ProcessTuner
from services.trainer.settings import TrainerSettings


def started(spec: RunSpec, pairs: Path, directory: Path, console: Console) -> RunSpec:
    """The spec with the adapter. Done again in the same directory it finds what it made. Raises NotFound."""
    if not pairs.is_file():
        raise NotFound("file of pairs", str(pairs))
    content = pairs.read_bytes()
    count = sum(1 for line in content.splitlines() if line.strip())
    with console.status(f"tuning {spec.base_model} on {count} pairs"):
        adapter = asyncio.run(_tuned(spec, content, count, directory))
    console.print(f"starts with adapter {adapter.adapter}, tuned on {count} pairs")
    return spec.model_copy(update={"adapter": adapter})


async def _tuned(spec: RunSpec, content: bytes, count: int, directory: Path) -> AdapterRef:
    blobs = DirectoryBlobs(directory / "blobs")
    sha256 = sha256_of(content)
    work_dir = directory / "training"
    work_dir.mkdir(parents=True, exist_ok=True)
    message = TrainingRequested(
        run_id="start",
        cycle=0,
        adapter=f"start-{sha256[:12]}",
        base_model=spec.base_model,
        pairs=await blobs.put(f"start/{sha256[:16]}.jsonl", content),
        pair_count=count,
        training=spec.training,
        seed=spec.seed,
    )
    async with ProcessTuner(TrainerSettings(base_model=spec.base_model, work_dir=work_dir)) as tuner:
        (trained,) = await TrainerHandler(blobs, tuner, work_dir).handle(message)
    return trained.adapter
