"""Peers of benchmarks/modelserver.py: `transformers` and `llama`, each a loop over lines of prompts and tokens wanted.

    python benchmarks/modelserver_peers.py transformers FOLDER THREADS
    python benchmarks/modelserver_peers.py llama FILE.gguf THREADS

Nothing of the project is imported, since llama.cpp has an environment of its own.
"""

import json
import sys
from collections.abc import Callable
from typing import Any


def transformers(where: str, threads: int) -> Callable[[list[str], int], int]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(where, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32).eval()

    def answer(prompts: list[str], tokens: int) -> int:
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            out = model.generate(**batch, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)
        return int((out.shape[1] - batch["input_ids"].shape[1]) * len(prompts))

    return answer


def llama(where: str, threads: int) -> Callable[[list[str], int], int]:
    import ctypes

    import llama_cpp as c
    import numpy as np

    c.llama_backend_init()
    plain = c.llama_model_default_params()
    plain.use_extra_bufts = False
    model = c.llama_model_load_from_file(where.encode(), plain)
    vocab = c.llama_model_get_vocab(model)
    size = c.llama_vocab_n_tokens(vocab)

    def tokenized(text: str) -> list[int]:
        raw, room = text.encode(), (c.llama_token * 4096)()
        return list(room[: c.llama_tokenize(vocab, raw, len(raw), room, len(room), True, True)])

    def context(prompts: int) -> Any:
        params = c.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_seq_max = 1024 * prompts, 2048, prompts
        params.n_threads = params.n_threads_batch = threads
        return c.llama_init_from_model(model, params)

    def decode(ctx: Any, entries: list[tuple[int, int, int, bool]]) -> None:
        """Run one batch of (token, position, sequence, whether logits are wanted)."""
        batch = c.llama_batch_init(len(entries), 0, 1)
        batch.n_tokens = len(entries)
        for at, (token, position, sequence, wanted) in enumerate(entries):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, position, 1
            batch.seq_id[at][0], batch.logits[at] = sequence, wanted
        if c.llama_decode(ctx, batch):
            raise RuntimeError("llama_decode failed")
        c.llama_batch_free(batch)

    def likeliest(ctx: Any, at: int) -> int:
        logits = ctypes.cast(c.llama_get_logits_ith(ctx, at), ctypes.POINTER(ctypes.c_float * size)).contents
        return int(np.frombuffer(logits, dtype=np.float32).argmax())

    def answer(prompts: list[str], tokens: int) -> int:
        ctx, ids = context(len(prompts)), [tokenized(prompt) for prompt in prompts]
        last = []
        for sequence, own in enumerate(ids):
            decode(ctx, [(token, at, sequence, at == len(own) - 1) for at, token in enumerate(own)])
            last.append(likeliest(ctx, -1))
        for step in range(tokens - 1):
            decode(ctx, [(token, len(ids[s]) + step, s, True) for s, token in enumerate(last)])
            last = [likeliest(ctx, at) for at in range(len(last))]
        c.llama_free(ctx)
        return tokens * len(prompts)

    return answer


def main() -> None:
    program, where, threads = sys.argv[1:]
    answer = {"transformers": transformers, "llama": llama}[program](where, int(threads))
    print("ready", flush=True)
    for line in sys.stdin:
        print(answer(*json.loads(line)), flush=True)


if __name__ == "__main__":
    main()
