import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from archloop.answers import render
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import TrainingRequested
from archloop.contracts.training import TrainingSpec
from archloop.training_pairs import TrainingPair
from services.trainer import tuning

NET = '''import torch
from torch import nn


class Net(nn.Module):
    """Größe {width} – „plain“."""

    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_shape[1], {width}, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Linear({width}, out_shape[0])

    def forward(self, x):
        return self.head(self.body(x))
'''


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def _tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=512, special_tokens=special, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture(scope="session")
def pairs() -> list[TrainingPair]:
    return [
        TrainingPair(
            prompt=f"# Write a network of about {width} channels.\n", completion=render(NET.format(width=width))
        )
        for width in range(8, 20)
    ]


@pytest.fixture(scope="session")
def base_model(tmp_path_factory, pairs) -> str:
    folder = tmp_path_factory.mktemp("model")
    tokenizer = _tokenizer([pair.prompt + pair.completion for pair in pairs])
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def base(base_model) -> tuning.Base:
    return tuning.load(base_model)


@pytest.fixture(scope="session")
def spec() -> TrainingSpec:
    return TrainingSpec(r=8, alpha=16, learning_rate=1e-2, epochs=3, batch_size=4)


@pytest.fixture
def blobs(tmp_path) -> DirectoryBlobs:
    return DirectoryBlobs(tmp_path / "blobs")


@pytest.fixture
def request_for(blobs, base_model, pairs, spec):
    """A TrainingRequested whose pairs are in the store; any field can be set."""
    lines = "".join(pair.model_dump_json() + "\n" for pair in pairs)

    async def make(**fields) -> TrainingRequested:
        defaults = {
            "run_id": "r1",
            "cycle": 0,
            "adapter": "r1-c0",
            "base_model": base_model,
            "pairs": await blobs.put("pairs/r1-c0.jsonl", lines.encode()),
            "pair_count": len(pairs),
            "training": spec,
            "seed": 7,
        }
        return TrainingRequested(**defaults | fields)

    return make
