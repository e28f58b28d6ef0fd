"""Building a folder that transformers and peft load from nothing: corpora, tokenizer, network, model card."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from archloop import remembering
from archloop.errors import InvalidInput
from services.generator.model_build import card, corpus, tokenizer, training
from services.generator.model_build.card import BuildReport, Round
from services.generator.model_build.training import Lesson

SEED = 0
LESSONS = (Lesson(4, 20, 3000), Lesson(8, 48, 400), Lesson(16, 192, 400))
ROUNDS = (
    Round(16_000, 2000, corpus.Kinds(edits=0.6, memory=0.4, changes=2)),  # more is copied where more is changed
    Round(16_000, 2200, corpus.Kinds(edits=0.5, memory=0.5)),
)
_VOCABULARY = 1536
_THREADS = 1
Measure = Callable[[Path], Mapping[float, float]]


def build(
    out: Path,
    seed: int = SEED,
    rounds: Sequence[Round] = ROUNDS,
    lessons: Sequence[Lesson] = LESSONS,
    progress: training.Progress = lambda *_: None,
    measure: Measure = lambda _: {},
) -> BuildReport:
    """Write the model into the folder `out`; the same arguments give the same weights on the same kind of machine.

    It learns to copy first, by `lessons`. Then each round of training has a corpus of its own; the tokenizer is
    that of the first. `progress` is called with what is being done, how far it is, and the total; `measure` is given
    the finished folder and returns, for the model card, the valid rate by temperature. Raises InvalidInput.
    """
    _check(rounds)
    torch.set_num_threads(_THREADS)
    first, *_ = written = [corpus.write(seed + n, each.answers, kinds=each.kinds) for n, each in enumerate(rounds)]
    words = tokenizer.train([e.words for e in first], [*_texts(first)], _VOCABULARY)
    model, loss = training.untrained(words, seed), 0.0
    for lesson in lessons:
        repeated = training.repeats(len(words), lesson, seed)
        training.fit(model, repeated, steps=lesson.steps, seed=seed, progress=progress)
    for number, (examples, each) in enumerate(zip(written, rounds, strict=True)):
        mixed = [*_encoded(words, examples), *_kept(len(words), len(examples), seed + number)]
        loss = training.fit(model, mixed, steps=each.steps, seed=seed + number, progress=progress)
    _save(out, model, words)
    sequences = _encoded(words, first)
    report = BuildReport(
        seed=seed,
        copying=sum(lesson.steps for lesson in lessons),
        rounds=tuple(rounds),
        parameters=model.num_parameters(),
        vocabulary=len(words),
        bytes=sum(path.stat().st_size for path in out.iterdir()),
        loss=loss,
        tokens_per_prompt=sum(len(prompt) for prompt, _ in sequences) / len(sequences),
        tokens_per_answer=sum(len(completion) for _, completion in sequences) / len(sequences),
    )
    (out / "README.md").write_text(card.write(report, measure(out)))
    return report


def _encoded(words: PreTrainedTokenizerFast, examples: Sequence[corpus.Example]) -> training.Sequences:
    return tokenizer.encode(words, [e.pair.prompt for e in examples], [e.pair.completion for e in examples])


def _kept(vocabulary: int, answers: int, seed: int) -> training.Sequences:
    """Return repeats for a round of so many answers, one to eight of them, lest it forgets how to copy."""
    return training.repeats(vocabulary, Lesson(8, 192, answers // 8 // training.BATCH), seed)


def _texts(examples: Sequence[corpus.Example]) -> Iterator[str]:
    """Yield what the tokenizer learns from: answers, and what is remembered."""
    for example in examples:
        yield example.pair.completion
        yield from map(remembering.line, example.memory)


def _save(out: Path, model: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> None:
    out.mkdir(parents=True, exist_ok=True)
    words.save_pretrained(out)
    model.save_pretrained(out)


def _check(rounds: Sequence[Round]) -> None:
    for each in rounds:
        if each.steps < 1:
            raise InvalidInput("steps", each.steps, "a positive number")
        if each.answers < training.BATCH:
            raise InvalidInput("answers", each.answers, f"at least {training.BATCH}, one batch")
