import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloop.answers import extract, render

NET = "import torch\n\nclass Net:\n    pass\n"
TORCH = "import torch\nfrom torch import nn\n"
METHODS = "".join(f"    def {name}(self, x): ...\n" for name in ("forward", "train_setup", "learn"))


@given(st.text(alphabet=st.characters(exclude_characters="\r", exclude_categories=["Cs"])))
def test_what_is_rendered_is_extracted_byte_for_byte(body: str) -> None:
    code = body.rstrip() + "\n"
    assert extract(render(code)) == (code, "")


@given(st.text(alphabet="`~'\"#\\ \nx", max_size=30))
def test_fences_quotes_and_comments_in_code_do_not_end_what_is_rendered(body: str) -> None:
    code = body.rstrip() + "\n"
    assert extract(render(code)).code == code


def test_prose_around_the_block_is_left_out() -> None:
    assert extract(f"Sure! Here it is:\n```python\n{NET}```\nHope it helps.").code == NET


def test_of_several_blocks_the_one_with_the_net_is_taken() -> None:
    assert extract(f"```python\nx = 1\n```\nthen\n```py\n{NET}```\n").code == NET


def test_an_answer_without_python_yields_no_code_and_says_why() -> None:
    assert extract("A class Net with convolutions.") == ("", "no fenced code block in the answer")


def test_a_truncated_answer_keeps_what_there_is_and_says_so() -> None:
    code, problem = extract("```python\nimport torch\nclass Net(")
    assert code == "import torch\nclass Net("
    assert "not closed" in problem


@pytest.mark.parametrize(
    "answer",
    [
        *("", "```", "``````", "```python", "\x00```python\n\x00\n```", "```python\r\nx\r\n```\r\n"),
        *("<think>", "</think>"),
        "> " * 3000,
        "- " * 3000,
        "```python\nclass Net: x = " + "(" * 9000,
        "~~~\n" * 99,
        "```\ud800\nclass Net: x\n```",
    ],
)
def test_ugly_answers_never_raise(answer: str) -> None:
    assert isinstance(extract(answer).code, str)


def test_a_block_in_another_language_is_no_code() -> None:
    assert extract("```bash\npip install torch\n```\n").code == ""


def test_unicode_in_code_stays_as_it_is() -> None:
    code = "class Net:\n    größe = '网络 🧠'\n"
    assert extract(render(code)) == (code, "")


def test_a_megabyte_is_extracted() -> None:
    code = "x = 1\n" * 180_000
    assert extract(render(code)).code == code


DRAFT = f"```python\n{NET.replace('pass', 'draft = 1')}```\n"
FINAL = f"```python\n{NET}```\n"
WHOLE = f"{TORCH}class Net(nn.Module):\n{METHODS}"


@pytest.mark.parametrize(
    ("answer", "code"),
    {
        "draft, then final": (f"{DRAFT}Wait, that is wrong:\n{FINAL}", NET),
        "final, then how to use it": (f"{FINAL}Usage:\n```python\nfrom net import Net\nx = Net()\n```\n", NET),
        "final, then one cut off": (f"{FINAL}Or smaller:\n```python\n{NET[:-6]}", NET),
        "whole, then an excerpt": (f"```python\n{WHOLE}```\nIn short:\n```python\nclass Net:\n    ...\n```\n", WHOLE),
        "draft without a net": (f"```\nx = 1\n```\n{FINAL}", NET),
        "untold, then bash": (f"```\n{NET}```\n```bash\npython net.py\n```\n", NET),
        "output after it": (f"{FINAL}```text\nclass Net has 3 parameters\n```\n", NET),
        "by assignment": (
            "```python\nx = 1\n```\n```python\nclass M: pass\nNet = M\n```\n",
            "class M: pass\nNet = M\n",
        ),
        "a factory": ("```python\nx = 1\n```\n```py\ndef Net(*args): ...\n```\n", "def Net(*args): ...\n"),
        "no net at all": ("```python\nx = 1\n```\n```python\ny = 2\n```\n", "y = 2\n"),
        "in Markdown": (f"```markdown\n# Net\n```python\n{NET}```\n```\n", NET),
        "in longer Markdown": (f"````md\nHere:\n\n```python\n{NET}```\n````\n", NET),
        "in a quote, with a space but for the fence": (
            ">```python\n> x = 1\n> class Net: x\n>```\n",
            "x = 1\nclass Net: x\n",
        ),
        "a wrong tag": (f"```pyhton\n{WHOLE}```\n", WHOLE),
    }.values(),
)
def test_which_block_is_the_program(answer: str, code: str) -> None:
    assert extract(answer) == (code, "")


BLOCK = "class Block(nn.Module):\n    pass\n"
USER = "class Net(Block):\n    pass\n"
NAMES = "def supported_hyperparameters():\n    return {'lr'}\n"


@pytest.mark.parametrize(
    ("blocks", "code"),
    {
        "imports apart": ((TORCH, "class Net(nn.Module):\n    pass\n"), TORCH + "class Net(nn.Module):\n    pass\n"),
        "helper apart": ((TORCH + BLOCK, USER), TORCH + BLOCK + USER),
        "three of them": ((TORCH, BLOCK, USER), TORCH + BLOCK + USER),
        "imports behind": ((BLOCK + USER, TORCH), TORCH + BLOCK + USER),
        "names of the hyper-parameters": ((NAMES, NET), NAMES + NET),
        "names behind": ((NET, NAMES), NAMES + NET),
        "of two helpers the last": (
            (TORCH + BLOCK, "class Block: better = 1\n", USER),
            "class Block: better = 1\n" + USER,
        ),
        "an example is none": ((TORCH + BLOCK + USER, "import torch\nx = Net(torch.ones(1))\n"), TORCH + BLOCK + USER),
        "what is not needed": (("import os\n", NET, "y = 2\n"), NET),
        "a local of the same name": (("x = 1\n", "class Net:\n    def f(self, x): return x\n"), None),
        "what is no Python": (("nn = (\n", NET), NET),
        "a net that is none": (("nn = 1\n", "class Net(nn.Module:\n    pass\n"), "class Net(nn.Module:\n    pass\n"),
    }.values(),
)
def test_blocks_are_joined_where_one_needs_another(blocks: tuple[str, ...], code: str | None) -> None:
    answer = "\nand\n\n".join(f"```python\n{block}```\n" for block in blocks)
    assert extract(answer) == (blocks[-1] if code is None else code, "")


@pytest.mark.parametrize(
    "prefix",
    [
        f"<think>\n{DRAFT}</think>\n",
        f"<think>{DRAFT}",
        f"<thinking>\n{DRAFT}Hm.\n</thinking>",
        f"<reasoning>\nA <reasoning> of mine.\n{DRAFT}</reasoning>\n",
        f"<THINK>\n<think>\n{DRAFT}</think>\n{DRAFT}</THINK>\n",
        "<think>\n```python\nclass Net(\n</think>\n",
        f"A draft:\n{DRAFT}So far.\n</think>\n\n",
        "A draft:\n```python\nclass Net(\n</think>\n\n",
        f"[THINK]{DRAFT}[/THINK]",
        f"◁think▷\n{DRAFT}◁/think▷",
        f"<seed:think>\n{DRAFT}</seed:think>\n",
        f"<|begin_of_thought|>\n{DRAFT}<|end_of_thought|>\n<|begin_of_solution|>\n",
        f"<think></think>\n<think>\n{DRAFT}</think>\n",
    ],
)
@pytest.mark.parametrize("ending", ["", "\n<think>\nIs it right? " + DRAFT + "</think>\nIt is.\n"])
def test_a_draft_in_thoughts_is_no_answer(prefix: str, ending: str) -> None:
    if prefix == f"<think>{DRAFT}":
        prefix += "Good.</think>Here:\n"
    assert extract(f"{prefix}\n{FINAL}{ending}") == (NET, "")


@pytest.mark.parametrize("tag", ["<think>", "<thinking>", "[THINK]", "◁think▷", "<reasoning>", "<|begin_of_thought|>"])
def test_thoughts_that_never_end_are_no_answer(tag: str) -> None:
    code, problem = extract(f"{tag}\n{DRAFT}And then")
    assert code == ""
    assert "before its thinking ended" in problem


@pytest.mark.parametrize(
    "code",
    [
        'TAG = "<think>"\nclass Net:\n    pass\n',
        '"""\n<think>\nnothing\n</think>\n"""\nclass Net:\n    pass\n',
        "class Net:\n    end = '</think>'\n",
        "class Net:\n    # <thinking>\n    pass\n",
        "x = '''\n<reasoning>\n'''\nclass Net: pass\n",
    ],
)
def test_a_tag_in_the_code_is_code(code: str) -> None:
    assert extract(f"Here:\n```python\n{code}```\n") == (code, "")


@pytest.mark.parametrize(
    "answer",
    [
        NET,
        f"Sure!\n\n{NET}",
        f"Sure! {NET}",
        f"Here it is: ```python\n{NET}```",
        f"Here it is: ```python\n{NET}```\nThat is all.\n",
        f"{NET}\nThis network has one layer (a dense one), trained with SGD.\n- It is small.\n",
        f"<answer>\n{NET}</answer>\n",
        f"<hp>{{'lr': 1}}</hp>\n<tr>\nimport torchvision\nt = 1\n</tr>\n<nn>\n{NET}</nn>\n",
        f"## Code\n\n{NET}\n## Why\n\nBecause.\n",
        f"First install it:\n```bash\npip install torch\n```\nThen:\n\n{NET}",
    ],
)
def test_python_without_a_fence_is_taken_and_told(answer: str) -> None:
    code, problem = extract(answer)
    assert code == NET
    assert problem == "no fenced code block in the answer: its lines of Python are taken"


PROGRAMS = [
    '''"""A net.

That is all prose.
"""
import torch


class Net:
    pass


x: int = 1
x, y = 2, 3
print(x)
''',
    """# a net
from torch import (
    nn,
)

if True:
    a = 1
else:
    a = 2
class Net: pass
""",
    """import os, sys  # both
@decorated
class Net(object):
    '''Says.
for all of us
'''

try:
    x = 1
finally:
    pass
""",
    """import torch.nn as nn
class Net(nn.Module): pass
Net.a = 1
Net.b[0] += 2
setattr(Net, 'c', 1)
for i in range(3):
    pass
""",
    """def f(x):
    return x

async def g(): ...

Net = f
assert Net
del f
with open('x') as y:
    z = [
    1,
]
""",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_whole_program_without_a_fence_comes_back(program: str) -> None:
    assert extract(f"Here you are.\n\n{program}\nThis is what I would do.").code == program
