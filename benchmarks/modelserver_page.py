"""The page of benchmarks/modelserver.py: its table, and what is known besides."""

import statistics
from typing import TypeAlias

Rounds: TypeAlias = dict[str, list[dict[str, float]]]

LIMITS = """
## Threads

Milliseconds of a step of the 8-bit server for one sequence and for sixteen, of 265 tokens each, with and without a
program beside it that computes all the time. Medians and ranges of 8 to 20 steps, taken once, and with other programs
on the machine, the spinning ones a quarter of an hour before the others:

| how threads wait | beside it | one thread: 1 | 16 | two threads: 1 | 16 |
|---|---|---|---|---|---|
| spinning, as GNU OpenMP does by itself | nothing | 50 [41-69] | 113 [100-205] | 88 [68-124] | 275 [222-595] |
| spinning | one program | 93 [66-127] | 262 [214-314] | 1207 [164-1809] | 861 [571-2275] |
| asleep, as the server has it now | nothing | 61 [38-72] | 147 [117-158] | 66 [60-137] | 376 [154-403] |
| asleep | one program | 68 [42-135] | 150 [107-207] | 45 [42-59] | 101 [96-113] |

By what the system says, the machine's two processors are two cores, not two threads of one. What makes a second thread
slower is that threads meet some 200 times a token: where another program has one core, the thread on the other spins
until that one's turn is over. Asleep it leaves its core meanwhile. On an idle machine a second thread made a lone
sequence slower still, 24 tokens/s after 33, and sixteen 65 after 70. So the 8-bit server tries at its start whether one
thread or all step faster, here one, and reads prompts on all: the figures for two threads above. `archloop run` gives
the server one.

## What bounds it

On one thread, taken once on a quieter machine: a step takes 34 ms for one sequence, 46 for eight and 66 for sixteen,
which is 243 tokens/s without the prompts.

- The 121 products of a step take 19 to 22 ms, nearly the same for 1 and 16 rows: 134 MB of weights at 6 to 7 GB/s. Two
  threads together read 18 GB/s here.
- Attention takes 1 ms a layer for sixteen sequences of 300 tokens, half of the step.
- Some thousand small operations take the rest, 10 to 14 ms.
- A prompt of 265 tokens takes 240 ms, of which its products are 120; one whose first 256 tokens are known takes 50.

400 tokens/s for sixteen together would be a step of 40 ms with the prompts in it. It is not reached: a compiled kernel
for the attention and the small operations would be needed. About half of the 1.1 GB it takes at rest, not while it
works; torch and what reads tokenizers take 270 MB of it before there is a model.
"""


def table(found: Rounds) -> str:
    """Medians over the rounds, as a table in Markdown; of what is asked for the lowest and highest too."""
    head = ["engine", "threads", "tokens/s alone", "tokens/s, 16 at a time", "a second of its own"]
    head += ["reading", "others", "MB resident", "at rest", "rounds"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, figures in sorted(found.items(), key=lambda each: each[0].rsplit(" / ", 1)[::-1]):
        columns = {key: sorted(each[key] for each in figures) for key in figures[0]}
        middle = {key: statistics.median(values) for key, values in columns.items()}
        cells = [*name.rsplit(" / ", 1)]
        cells += [f"{middle[key]:.0f} [{columns[key][0]:.0f}–{columns[key][-1]:.0f}]" for key in ("alone", "together")]
        cells += [f"{middle['together a core']:.0f}", f"{middle['reading']:.0%}", f"{middle['others']:.1f}"]
        cells += [f"{middle[key]:.0f}" for key in ("resident_mb", "resting_mb")] + [str(len(figures))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def page(found: Rounds, tokens: int, prompt: int) -> str:
    return f"""# Answers of a small pretrained LLM on a processor

Made by `python benchmarks/modelserver.py`: SmolLM2-135M, {tokens} tokens of greedy decoding after each of sixteen
prompts, the first {prompt} characters of a network each, about 265 tokens. Medians of the rounds, the lowest and
highest in brackets; every engine and number of threads has a process of its own in every round.

{table(found)}

- *Others* is how many of the machine's two cores other programs took meanwhile: nearly none. *A second of its own* is
  the tokens of sixteen together for each second of processor time.
- *Reading* is the share of the sixteen's time that as many other prompts of that length take to be read.
- "ours, 8 bits" is what `--weights auto` chooses for this model on a processor with instructions for 8-bit products;
  it guesses ahead from what the text repeats, which changes no token. Sixteen at a time it cannot.
- Those of ours are five rounds of their own, half a day after the others, as it no longer loads transformers' models.
  The machine was slower by then: two hours after the others ours had 33 and 72 in 8 bits, 33 and 76 on two threads.
- At rest is two seconds after the last answer, when working memory has been given back.
- llama.cpp has the four-bit file that the model was made from. Its layouts for this processor's matrix unit crashed
  (llama-cpp-python 0.3.36, compiled here), so it ran without them (`use_extra_bufts`), slower than it can be: by an
  earlier measurement on such a machine 67 to 75 tokens/s alone on one thread, 101 to 111 on two.
- transformers answers sixteen prompts in one padded batch, llama.cpp as sixteen sequences of one batch.
- These are greedy answers. Sampled ones repeat less, so guessing ahead gains less.
{LIMITS}"""
