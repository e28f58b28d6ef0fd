"""A tokenizer for files of one kind: byte-level BPE within lines, and one token for each passage that most files have.

A line is the same tokens wherever it stands, so that an edit that copies it copies tokens.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
_SIZE = r"(?<=[( ])\d+(?=[,)])"
_NUMBER = r"(?<!\w)\d+"
_LINE = r"\n"
_PARAGRAPH = r"(?:.+\n)+\n*"
_PHRASE = 10
_FILE = 20  # lines, of which an edit has fewer
_PASSAGE = range(2, 13)  # lines
_MOST = 0.5  # of the files


def train(prompts: Sequence[str], written: Sequence[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn `vocabulary` tokens from what is written; add one for each phrase of the prompts and frequent passage."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_LINE), "merged_with_previous"),
            pre_tokenizers.Split(Regex(_SIZE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(written, _trainer(vocabulary))
    fixed = [*_phrases(prompts), *_passages(written)]
    bpe.add_tokens([AddedToken(text, normalized=False) for text in fixed])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


def _trainer(vocabulary: int) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def _phrases(prompts: Sequence[str]) -> list[str]:
    """Return paragraphs that all prompts share, and text between numbers, too long ever to occur in code."""
    shared = set.intersection(*({*re.findall(_PARAGRAPH, prompt)} for prompt in prompts))
    lines = {line for prompt in prompts for line in prompt.splitlines(keepends=True)}
    pieces = {piece for line in lines for piece in re.split(_NUMBER, line)}
    return sorted(shared | {piece for piece in pieces if len(piece) >= _PHRASE and " " in piece.strip()})


def _passages(written: Sequence[str]) -> list[str]:
    """Return the longest runs of lines that most files have; those within another one are left out."""
    files = [lines for text in written if len(lines := text.splitlines(keepends=True)) >= _FILE]
    counts = Counter(run for lines in files for run in set(_runs(lines)))
    longest: list[str] = []
    for run, count in sorted(counts.items(), key=lambda item: (-len(item[0]), item[0])):
        if count >= _MOST * len(files) and not any(run in longer for longer in longest):
            longest.append(run)
    return longest


def _runs(lines: Sequence[str]) -> Iterator[str]:
    for length in _PASSAGE:
        yield from ("".join(lines[start : start + length]) for start in range(len(lines) - length + 1))


def encode(
    tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], completions: Sequence[str]
) -> list[tuple[list[int], list[int]]]:
    """Return the token ids of both halves of each text: BOS before the prompt, EOS after the completion."""
    before, after = (tokenizer(list(texts), add_special_tokens=False).input_ids for texts in (prompts, completions))
    pairs = zip(before, after, strict=True)
    return [([tokenizer.bos_token_id, *prompt], [*completion, tokenizer.eos_token_id]) for prompt, completion in pairs]
