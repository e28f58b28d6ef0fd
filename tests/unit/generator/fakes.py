"""A model server in memory, and adapters published as the trainer publishes them."""

import asyncio
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.adapter import AdapterManifest, LoraShape, Probe
from archloop.contracts.values import AdapterRef, Usage
from archloop.errors import InvalidInput, Unavailable
from services.generator.backends.port import Answer, ServedModel
from services.generator.errors import AdapterMissing, TooLong

BASE = ServedModel("tiny", "0" * 64)
PROBE = Probe(prompt="probe", max_new_tokens=4, text="tuned", logprob=-1.0, base_text="plain", base_logprob=-2.0)
TENSOR = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


class FakeBackend:
    """Answers the probe as the adapter would if it is loaded, and everything else with `text`."""

    def __init__(self, text: str = "```python\nclass Net: ...\n```\n") -> None:
        self.text = text
        self.loaded: dict[str, Path] = {}
        self.most_loaded = 0
        self.room = self.longest = 10**6
        self.adopted: list[str] = []
        self.asked: list[tuple[object, ...]] = []
        self.down = self.refuses = self.closed = False
        self.proof = Answer(PROBE.text, Usage(), "length", None, PROBE.logprob)
        self.open = asyncio.Event()
        self.open.set()

    async def ready(self) -> bool:
        return not self.down

    async def base(self) -> ServedModel:
        return BASE

    async def adapters(self) -> frozenset[str]:
        return frozenset(self.loaded)

    async def generate(self, prompt, decoding, seed, adapter) -> Answer:
        if self.down:
            raise Unavailable("down")
        if adapter is not None and adapter not in self.loaded:
            raise AdapterMissing(adapter)
        if prompt == PROBE.prompt:
            return self.proof
        if decoding.max_new_tokens > self.room or len(prompt) > self.longest:
            raise TooLong("max_new_tokens", decoding.max_new_tokens, f"at most {self.room}")
        self.asked.append((prompt, decoding, seed, adapter))
        await self.open.wait()
        return Answer(self.text, Usage(prompt_tokens=3, completion_tokens=5), "eos_token", adapter, -1.0)

    async def load(self, name, path) -> None:
        if self.down:
            raise Unavailable("down")
        if self.refuses:
            raise InvalidInput("adapter", name, "something that merges")
        assert sorted(file.name for file in path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
        self.loaded[name] = path
        self.most_loaded = max(self.most_loaded, len(self.loaded))

    async def adopt(self, name) -> None:
        assert name in self.loaded
        self.adopted.append(name)

    async def unload(self, name) -> None:
        if self.down:
            raise Unavailable("down")
        self.loaded.pop(name, None)

    async def close(self) -> None:
        self.closed = True


class Publisher:
    """What the trainer leaves in the object store, right unless told otherwise."""

    def __init__(self, blobs: DirectoryBlobs, folder: Path) -> None:
        self.blobs, self._folder = blobs, folder

    async def publish(self, name="code-v1", *, config=None, tensors=None, files=None, **manifest) -> AdapterRef:
        contents = {
            "adapter_config.json": json.dumps(CONFIG | (config or {})).encode(),
            "adapter_model.safetensors": self._weights(tensors),
        } | (files or {})
        refs = {
            file: await self.blobs.put(f"adapters/{name}/{i}", content)
            for i, (file, content) in enumerate(contents.items())
            if content is not None
        }
        described = AdapterManifest(**(MANIFEST | {"adapter": name, "files": refs} | manifest))
        blob = await self.blobs.put(f"adapters/{name}/manifest.json", described.model_dump_json().encode())
        return AdapterRef(adapter=name, manifest=blob, base_model=BASE.name)

    def _weights(self, tensors) -> bytes:
        path = self._folder / "weights"
        save_file(TENSORS if tensors is None else tensors, path)
        return path.read_bytes()


def matrix(*shape: int):
    return np.ones(shape, dtype=np.float32)


TENSORS = {TENSOR.format("A"): matrix(8, 32), TENSOR.format("B"): matrix(32, 8)}
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj"],
    "bias": "none",
    "use_dora": False,
    "modules_to_save": None,
    "rank_pattern": {},
    "init_lora_weights": True,
    "megatron_core": "megatron.core",
    "runtime_config": {"ephemeral_gpu_offload": False},
}
MANIFEST = {
    "base_model": BASE.name,
    "base_sha256": BASE.sha256,
    "lora": LoraShape(r=8, alpha=16, target_modules=("q_proj",)),
    "pairs_sha256": "1" * 64,
    "pair_count": 10,
    "seed": 0,
    "epochs": 1,
    "probe": PROBE,
}
