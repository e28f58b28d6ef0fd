"""Arguments of transformers, peft and TRL, from what a training asks for and what the machine has.

All functions but `machine` are pure, so that what only a GPU can run is checked without one, up to the call.
"""

import math
import os
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from archloop.contracts.adapter import BatchShape
from archloop.contracts.training import TrainingSpec
from services.trainer.job import TrainingRefused

Dtype = Literal["float32", "bfloat16", "float16"]
Precision = Literal["auto", "float32", "bfloat16"]
CLIP = 1.0
# From so many parameters on, arithmetic costs a training on a CPU more than anything around it.
LARGE = 50_000_000
_BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
_FEW_THREADS = 2
_CHECKPOINTS_KEPT = 2


class Machine(NamedTuple):
    """Hardware of this process: the GPUs that it sees, how they compute, and whether bitsandbytes is there.

    Without GPUs, `bf16` says whether the CPU has instructions for it, and `precision` what large models are trained in;
    such a model is `large`, and may be served in fewer bits than float32.
    """

    gpus: int = 0
    bf16: bool = False
    bitsandbytes: bool = False
    precision: Precision = "auto"
    large: bool = False

    @property
    def coarse(self) -> bool:
        """Whether a server's logits may be off by what half precision or weights of 8 bits take from them."""
        return self.large or self.dtype != "float32"

    @property
    def dtype(self) -> Dtype:
        """Type of an unquantised base model and of the computation, by name, as the service itself lacks torch."""
        if not self.gpus:
            return "float32"
        return "bfloat16" if self.bf16 else "float16"


CPU = Machine()


def machine() -> Machine:
    """Detect this process's hardware. It initialises CUDA, so never call it in a process that will fork."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Machine(gpus, bool(gpus) and torch.cuda.is_bf16_supported(), find_spec("bitsandbytes") is not None)


def cpu(precision: Precision) -> Machine:
    """Detect what the CPU computes in. Nothing runs in parallel for it, so the process may fork."""
    import torch

    has = torch.cpu.get_capabilities()
    return Machine(bf16=any(has.get(name) for name in _BF16_INSTRUCTIONS), precision=precision)


def weights(spec: TrainingSpec, on: Machine, parameters: int) -> Dtype:
    """Return the type of the base model's weights. On a CPU it is half precision for the lean loop's large models."""
    if on.gpus or spec.engine == "trl" or parameters < LARGE:
        return on.dtype
    if on.precision == "auto":
        return "bfloat16" if on.bf16 else "float32"
    return on.precision


def threads(asked: int | None, parameters: int) -> int:
    """Return how many threads train on a CPU: all cores where it pays, and a fixed few, with equal bytes, elsewhere."""
    if asked:
        return asked
    return len(os.sched_getaffinity(0)) if parameters >= LARGE else _FEW_THREADS


def check(spec: TrainingSpec, on: Machine) -> None:
    """Raise TrainingRefused for what this machine cannot train, before anything is loaded."""
    if spec.quantization == "none":
        return
    if not on.gpus:
        raise TrainingRefused(
            "training.quantization: nf4 needs a CUDA GPU, and this trainer was given none (ARCHLOOP_TRAINER_GPUS); "
            "'none' trains on the CPU in fp32"
        )
    if not on.bitsandbytes:
        raise TrainingRefused(
            "training.quantization: nf4 needs bitsandbytes, which is not there: pip install 'archloop[trainer,qlora]'"
        )


def model_arguments(spec: TrainingSpec, on: Machine, rank: int = 0, parameters: int = 0) -> dict[str, Any]:
    """Return arguments of `from_pretrained`: device and precision of the weights.

    Only safetensors are loaded, and no code of the model's own.
    """
    arguments: dict[str, Any] = {"dtype": weights(spec, on, parameters), "use_safetensors": True}
    if on.gpus:
        arguments["device_map"] = {"": rank}
    if spec.quantization == "nf4":
        arguments["quantization_config"] = quantization(on)
    return arguments


def quantization(on: Machine) -> Any:
    """Return QLoRA's configuration: 4-bit NormalFloat, the scales quantised too, computing in half precision."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=on.dtype,
    )


def lora_arguments(spec: TrainingSpec) -> dict[str, Any]:
    """Return arguments of peft's LoraConfig, of a shape that every server serves."""
    return {
        "task_type": "CAUSAL_LM",
        "r": spec.r,
        "lora_alpha": spec.alpha,
        "lora_dropout": spec.dropout,
        "target_modules": "all-linear",
    }


def sft_arguments(spec: TrainingSpec, on: Machine, shape: BatchShape, *, pairs: int, seed: int) -> dict[str, Any]:
    """Return arguments of TRL's SFTConfig, but for where it writes.

    The pairs are tokenised already, and never cut or packed.
    """
    return {
        "seed": seed,
        "learning_rate": spec.learning_rate,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": CLIP,
        "num_train_epochs": spec.passes(pairs),
        "per_device_train_batch_size": shape.batch_size,
        "gradient_accumulation_steps": shape.accumulation,
        "max_length": spec.max_length,
        "packing": False,
        "lr_scheduler_type": "linear",
        "warmup_steps": spec.warm_up(pairs),
        "include_num_input_tokens_seen": "non_padding",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        **_computation(spec, on),
    }


def dpo_arguments(spec: TrainingSpec, on: Machine, shape: BatchShape, *, pairs: int, seed: int) -> dict[str, Any]:
    """Return arguments of TRL's DPOConfig, but for where it writes. Dropout is off, as by TRL's default."""
    arguments = sft_arguments(spec, on, shape, pairs=pairs, seed=seed)
    return {name: value for name, value in arguments.items() if name != "packing"} | {"beta": spec.beta}


def saving(folder: str, every: int) -> dict[str, Any]:
    """Return arguments of TRL's SFTConfig for checkpoints in `folder` after every so many steps; none where it is 0."""
    if not every:
        return {"output_dir": folder, "save_strategy": "no"}
    return {
        "output_dir": folder,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": _CHECKPOINTS_KEPT,
    }


def _computation(spec: TrainingSpec, on: Machine) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "gradient_checkpointing": spec.gradient_checkpointing,
        "bf16": on.dtype == "bfloat16",
        "fp16": on.dtype == "float16",
        "use_cpu": not on.gpus,
        "ddp_find_unused_parameters": False,
    }
    if spec.quantization == "nf4":
        arguments["optim"] = "paged_adamw_8bit"
    return arguments


def tolerance(on: Machine, tokens: int) -> float:
    """Return how far a server's summed log-probability of so many tokens may be from the trainer's, in nats.

    Where both hold the model in fp32 they compute nearly the same. In half precision a logit is off by up to 0.06
    (8 bits, values up to 16), and so is a token's log-probability; such errors add up as the root of their number.
    Weights of 8 bits, as a CPU may serve a large model, make every token a little less likely: measured were 0.023.
    """
    rounding = 0.06 * math.sqrt(tokens) if on.coarse else 0.01
    return rounding + (0.04 * tokens if on.large else 0)
