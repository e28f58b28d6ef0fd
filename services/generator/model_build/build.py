"""Building a folder that transformers and peft load from nothing: corpus, tokenizer, network, model card."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from archloop import remembering
from archloop.errors import InvalidInput
from services.generator.model_build import card, corpus, tokenizer, training
from services.generator.model_build.card import BuildReport

SEED, STEPS, FILES = 0, 2600, 16_000
KINDS = corpus.Kinds(edits=0.4, memory=0.4)
_VOCABULARY = 1536
_THREADS = 1
Measure = Callable[[Path], Mapping[float, float]]


def build(
    out: Path,
    seed: int = SEED,
    steps: int = STEPS,
    files: int = FILES,
    progress: training.Progress = lambda *_: None,
    measure: Measure = lambda _: {},
) -> BuildReport:
    """Write the model into the folder `out`; the same arguments give the same weights on the same kind of machine.

    `progress` is called with what is being done, how far it is, and the total; `measure` is given the finished folder
    and returns, for the model card, the valid rate by temperature. Raises InvalidInput.
    """
    _check(steps, files)
    torch.set_num_threads(_THREADS)
    examples = corpus.write(seed, files, kinds=KINDS)
    words = tokenizer.train([e.words for e in examples], [*_written(examples)], _VOCABULARY)
    sequences = tokenizer.encode(words, [e.pair.prompt for e in examples], [e.pair.completion for e in examples])
    model = training.untrained(words, seed)
    loss = training.fit(model, sequences, steps=steps, seed=seed, progress=progress)
    _save(out, model, words)
    report = BuildReport(
        seed=seed,
        steps=steps,
        files=files,
        parameters=model.num_parameters(),
        vocabulary=len(words),
        bytes=sum(path.stat().st_size for path in out.iterdir()),
        loss=loss,
        tokens_per_prompt=sum(len(prompt) for prompt, _ in sequences) / files,
        tokens_per_file=sum(len(completion) for _, completion in sequences) / files,
    )
    (out / "README.md").write_text(card.write(report, KINDS, measure(out)))
    return report


def _written(examples: Sequence[corpus.Example]) -> Iterator[str]:
    """Yield what the tokenizer learns from: answers, and what is remembered."""
    for example in examples:
        yield example.pair.completion
        yield from map(remembering.line, example.memory)


def _save(out: Path, model: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> None:
    out.mkdir(parents=True, exist_ok=True)
    words.save_pretrained(out)
    model.save_pretrained(out)


def _check(steps: int, files: int) -> None:
    if steps < 1:
        raise InvalidInput("steps", steps, "a positive number")
    if files < training.BATCH:
        raise InvalidInput("files", files, f"at least {training.BATCH}, one batch")
