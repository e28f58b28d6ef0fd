"""The model that is tuned and served: a given one, or random weights of SmolLM2-135M's shape made here."""

from pathlib import Path

from benchmarks.gpu.given import Given

# Those of HuggingFaceTB/SmolLM2-135M.
_SHAPE = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 8192, "tie_word_embeddings": True,
}  # fmt: skip


def base_model(given: Given) -> str:
    """Return the given model; dry the one that ships, else a folder of random weights with that one's tokenizer.

    How fast a model is trained and served does not depend on what its weights are.
    """
    if given.model:
        return given.model
    return "tiny" if given.dry else str(random_model(given.folder / "model"))


def random_model(folder: Path) -> Path:
    """Write a Llama of SmolLM2-135M's shape into a folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from archloop.models import locate

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(locate("tiny"))
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    LlamaForCausalLM(LlamaConfig(**_SHAPE, **ends)).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder
