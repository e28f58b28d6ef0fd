import math

import pytest
import torch
from peft import LoraConfig
from pydantic import ValidationError
from trl import SFTConfig

from archloop import presets
from archloop.contracts.adapter import BatchShape
from archloop.contracts.training import TrainingSpec
from services.trainer import backoff, metrics, plan, shares
from services.trainer.distributed import has_own_processes, launch_command, processes, warm_command
from services.trainer.job import Failed, Job, Progress, TrainingRefused
from services.trainer.plan import CPU, Machine
from services.trainer.settings import TrainerSettings

PAPER = presets.load("paper").training
AMPERE = Machine(gpus=1, bf16=True, bitsandbytes=True)
TURING = Machine(gpus=1, bf16=False, bitsandbytes=True)


def shape(batch_size: int, accumulation: int, processes: int = 1) -> BatchShape:
    return BatchShape(batch_size=batch_size, accumulation=accumulation, processes=processes)


def arguments(spec: TrainingSpec = PAPER, on: Machine = AMPERE, pairs: int = 400, processes: int = 1) -> dict:
    return plan.sft_arguments(spec, on, shares.among(spec, processes), pairs=pairs, seed=3)


def test_the_papers_qlora_is_four_bit_normal_float_doubly_quantised_computing_in_bf16() -> None:
    config = plan.quantization(AMPERE)
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert config.bnb_4bit_compute_dtype == torch.bfloat16


def test_the_papers_training_is_what_trl_is_given() -> None:
    given = arguments()
    expected = {
        "learning_rate": 1e-5,
        "weight_decay": 0.01,
        "warmup_steps": 20,
        "max_grad_norm": 1.0,
        "num_train_epochs": 5,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8,
        "max_length": 4096,
        "lr_scheduler_type": "linear",
        "optim": "paged_adamw_8bit",
        "bf16": True,
        "fp16": False,
        "gradient_checkpointing": True,
        "packing": False,
    }
    assert given | expected == given
    lora = LoraConfig(**plan.lora_arguments(PAPER))
    assert (lora.r, lora.lora_alpha, lora.lora_dropout, lora.target_modules) == (32, 32, 0.05, "all-linear")


def test_a_gpu_without_bf16_computes_in_fp16() -> None:
    assert (arguments(on=TURING)["bf16"], arguments(on=TURING)["fp16"]) == (False, True)
    assert plan.quantization(TURING).bnb_4bit_compute_dtype == torch.float16


@pytest.mark.parametrize(
    ("spec", "on", "dtype", "quantised", "device"),
    [
        (TrainingSpec(), CPU, "float32", False, None),
        (TrainingSpec(engine="trl"), AMPERE, "bfloat16", False, {"": 2}),
        (PAPER, AMPERE, "bfloat16", True, {"": 2}),
    ],
)
def test_each_process_loads_the_model_onto_its_own_device(spec, on, dtype, quantised, device) -> None:
    given = plan.model_arguments(spec, on, rank=2)
    assert given["use_safetensors"]
    assert "trust_remote_code" not in given
    assert (given["dtype"], "quantization_config" in given, given.get("device_map")) == (dtype, quantised, device)


def test_every_argument_for_the_cpu_is_one_that_trl_takes(tmp_path) -> None:
    spec = TrainingSpec(engine="trl", accumulation=2, gradient_checkpointing=True)
    config = SFTConfig(**arguments(spec, CPU), **plan.saving(str(tmp_path), 7))
    assert (config.save_steps, config.save_total_limit, config.use_cpu) == (7, 2, True)
    assert SFTConfig(**arguments(spec, CPU), **plan.saving(str(tmp_path), 0)).save_strategy == "no"


def test_every_argument_for_a_gpu_is_one_that_trl_has() -> None:
    assert set(arguments()) <= set(SFTConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("on", "words"),
    [(CPU, "nf4 needs a CUDA GPU"), (Machine(gpus=1, bf16=True), r"nf4 needs bitsandbytes.*archloop\[trainer,qlora\]")],
)
def test_what_the_machine_cannot_train_is_refused_by_name(on, words) -> None:
    with pytest.raises(TrainingRefused, match=words):
        plan.check(PAPER, on)


def test_what_the_machine_can_train_passes() -> None:
    plan.check(PAPER, AMPERE)
    plan.check(TrainingSpec(), CPU)


@pytest.mark.parametrize("field", [{"quantization": "nf4"}, {"gradient_checkpointing": True}])
def test_the_lean_loop_is_asked_for_no_more_than_it_has(field) -> None:
    with pytest.raises(ValidationError, match="need engine: trl"):
        TrainingSpec(**field)


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "processes", "expected"),
    [(1, 8, 1, (1, 8)), (1, 8, 4, (1, 2)), (4, 1, 2, (2, 1)), (4, 3, 2, (3, 2)), (8, 2, 16, (1, 1)), (6, 1, 1, (6, 1))],
)
def test_a_step_sees_the_same_pairs_on_however_many_processes(batch_size, accumulation, processes, expected) -> None:
    spec = TrainingSpec(batch_size=batch_size, accumulation=accumulation)
    share = shares.among(spec, processes)
    assert (share.batch_size, share.accumulation) == expected
    assert share.batch_size * share.accumulation * share.processes == spec.effective_batch


def test_a_step_that_cannot_be_shared_equally_is_refused() -> None:
    with pytest.raises(TrainingRefused, match="a step of 8 pairs cannot be shared equally by 3 processes"):
        shares.among(PAPER, 3)


@pytest.mark.parametrize("start", [shape(8, 1), shape(6, 5), shape(7, 3), shape(1, 4), shape(12, 1, 2)])
def test_less_at_once_is_as_many_a_step_and_ends_at_single_pairs(start) -> None:
    current, seen = start, []
    while (less := shares.smaller(current)) is not None:
        assert less.batch_size <= current.batch_size // 2
        assert less.batch_size * less.accumulation == start.batch_size * start.accumulation
        seen, current = [*seen, less], less
    assert current.batch_size == 1
    assert len(seen) <= math.log2(start.batch_size)


def test_steps_and_warm_up_go_by_what_a_step_sees() -> None:
    spec = TrainingSpec(epochs=5, batch_size=1, accumulation=8)
    assert (spec.steps(400), spec.warm_up(400)) == (250, 25)
    assert spec.steps(400) == TrainingSpec(epochs=5, batch_size=8).steps(400)
    assert PAPER.warm_up(400) == 20


def test_several_gpus_are_a_process_each_by_accelerate_launch(tmp_path) -> None:
    command = " ".join(launch_command(tmp_path / "job.json", TrainerSettings(gpus=4, threads=3)))
    assert "-m accelerate.commands.launch --multi_gpu --num_machines 1 --num_processes 4 " in command
    assert command.endswith(f"-m services.trainer.worker {tmp_path}/job.json 3")
    assert "CUDA_VISIBLE_DEVICES" not in command


def test_one_gpu_needs_no_launcher_and_the_warm_process_sees_none(tmp_path) -> None:
    command = launch_command(tmp_path / "job.json", TrainerSettings(gpus=1))
    assert "accelerate.commands.launch" not in command
    assert "CUDA_VISIBLE_DEVICES=" not in command
    assert "CUDA_VISIBLE_DEVICES=" in warm_command(TrainerSettings())


def test_processes_without_gpus_are_told_so_and_see_none(tmp_path) -> None:
    command = launch_command(tmp_path / "job.json", TrainerSettings(processes=2))
    assert command[-1] == "--cpu"
    assert "CUDA_VISIBLE_DEVICES=" in command


@pytest.mark.parametrize(
    ("settings", "engine", "launched", "count"),
    [
        ({}, "trl", False, 1),
        ({"gpus": 1}, "trl", True, 1),
        ({"gpus": 2}, "lean", False, 2),
        ({"processes": 2}, "trl", True, 2),
        ({"gpus": 4, "processes": 2}, "trl", True, 4),
    ],
)
def test_which_jobs_get_processes_of_their_own(tmp_path, settings, engine, launched, count) -> None:
    job = Job(base_model="tiny", pairs=tmp_path, out=tmp_path, training=TrainingSpec(engine=engine), seed=0)
    settings = TrainerSettings(**settings)
    assert (has_own_processes(job, settings), processes(settings)) == (launched, count)


async def test_out_of_memory_with_single_pairs_is_the_end(tmp_path) -> None:
    job = Job(base_model="tiny", pairs=tmp_path, out=tmp_path, training=TrainingSpec(batch_size=4), seed=0)
    tried = []

    async def run(job):
        tried.append((job.batches.batch_size, job.batches.accumulation))
        return Failed(code="out_of_memory", retryable=False, detail="full")

    before = metrics.OUT_OF_MEMORY._value.get()
    report = await backoff.backing_off(job, run)
    assert (report.code, tried) == ("out_of_memory", [(4, 1), (2, 2), (1, 4)])
    assert metrics.OUT_OF_MEMORY._value.get() - before == 2


async def test_another_failure_is_not_tried_again(tmp_path) -> None:
    job = Job(base_model="tiny", pairs=tmp_path, out=tmp_path, training=TrainingSpec(), seed=0)
    tried = []

    async def run(job):
        tried.append(job)
        return Failed(code="invalid_input", retryable=False, detail="")

    await backoff.backing_off(job, run)
    assert len(tried) == 1


@pytest.mark.parametrize(("first", "counted"), [(1, 130), (5, 30)])
def test_tokens_before_the_checkpoint_do_not_count_again(first, counted) -> None:
    meter, tokens, steps = metrics.Meter(), metrics.TOKENS._value.get(), metrics.STEPS._value.get()
    for step, total in ((first, 100), (first + 1, 130)):
        meter.take(Progress(step=step, steps=9, loss=0.5, tokens=total))
    assert metrics.TOKENS._value.get() - tokens == counted
    assert metrics.STEPS._value.get() - steps == 2
    assert metrics.LOSS._value.get() == 0.5


LEAN, TRL = TrainingSpec(), TrainingSpec(engine="trl")
BF16 = Machine(bf16=True)


@pytest.mark.parametrize(
    ("spec", "on", "parameters", "dtype"),
    [
        (LEAN, CPU, 135_000_000, "float32"),
        (LEAN, BF16, 135_000_000, "bfloat16"),
        (LEAN, BF16, 49_999_999, "float32"),
        (LEAN, BF16._replace(precision="float32"), 135_000_000, "float32"),
        (LEAN, CPU._replace(precision="bfloat16"), 135_000_000, "bfloat16"),
        (LEAN, CPU._replace(precision="bfloat16"), 1_000_000, "float32"),
        (TRL, BF16, 135_000_000, "float32"),
        (TRL, AMPERE, 135_000_000, "bfloat16"),
    ],
)
def test_on_a_cpu_the_lean_loop_alone_trains_large_models_in_half_precision(spec, on, parameters, dtype) -> None:
    assert plan.weights(spec, on, parameters) == dtype
    assert plan.model_arguments(spec, on, parameters=parameters)["dtype"] == dtype


@pytest.mark.parametrize(
    ("asked", "parameters", "threads"),
    [(None, 3_000_000, 2), (None, 135_000_000, 7), (3, 3_000_000, 3), (3, 135_000_000, 3), (0, 135_000_000, 7)],
)
def test_large_models_get_all_cores_and_small_ones_equal_bytes_on_any_machine(
    monkeypatch, asked, parameters, threads
) -> None:
    monkeypatch.setattr(plan.os, "sched_getaffinity", lambda _: set(range(7)))
    assert plan.threads(asked, parameters) == threads


@pytest.mark.parametrize(
    ("settings", "given"),
    [
        ({}, ["tiny", "0", "auto"]),
        ({"threads": 5}, ["tiny", "5", "auto"]),
        ({"precision": "float32"}, ["tiny", "0", "float32"]),
        ({"precision": "bfloat16", "base_model": "smollm2"}, ["smollm2", "0", "bfloat16"]),
        ({"threads": 1, "precision": "bfloat16"}, ["tiny", "1", "bfloat16"]),
    ],
)
def test_the_warm_process_is_told_threads_and_precision(settings, given) -> None:
    assert warm_command(TrainerSettings(**settings))[-3:] == given


@pytest.mark.parametrize("tokens", [1, 8, 28, 64, 400])
def test_the_fingerprint_of_a_large_model_allows_for_weights_of_eight_bits(tokens) -> None:
    eight_bits, half = 0.023 * tokens, 0.04 * math.sqrt(tokens)
    assert plan.tolerance(CPU._replace(large=True), tokens) > 1.2 * (eight_bits + half)


@pytest.mark.parametrize(("on", "tokens", "expected"), [(CPU, 64, 0.01), (AMPERE, 1, 0.06), (AMPERE, 64, 0.48)])
def test_a_fingerprint_in_half_precision_allows_for_its_rounding(on, tokens, expected) -> None:
    assert plan.tolerance(on, tokens) == pytest.approx(expected)
