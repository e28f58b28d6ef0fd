"""What LLMs put around code where a fence was meant, and what only looks like it."""

import pytest

from archloop.answers import extract

IMPORTS = "import torch\nimport torch.nn as nn\n\n\n"
NET = IMPORTS + 'class Net(nn.Module):\n    """A net."""\n\n    def forward(self, x):\n        return x\n'
BARE = "no fenced code block in the answer: its lines of Python are taken"

FENCED = {
    "the language's name on the first line": f"```\npython\n{NET}```\n",
    "capitalised": f"```\nPython\n{NET}```\n",
    "shortened": f"```\npy\n{NET}```\n",
    "with its version": f"```\npython3.11\n{NET}```\n",
    "with a colon": f"```\npython:\n{NET}```\n",
    "after an empty line, before two": f"```\n\npython\n\n\n{NET}```\n",
    "twice": f"```python\npython\n{NET}```\n",
    "in tildes": f"~~~\nIPython\n{NET}~~~\n",
    "with what a button said": f"```\npython\nCopy code\n{NET}```\n",
    "another word for it": f"```text\npytorch\n{NET}```\n",
    "with line feeds of Windows": f"```\r\npython\r\n{NET}```\n",
}
UNFENCED = {
    "single quotes": f"'''python\n{NET}'''\n",
    "double quotes": f'"""python\n{NET}"""\n',
    "with prose around": f"Here is the network:\n\n'''python\n{NET}'''\n\nIt has one layer.\n",
    "without a name": f"'''\n{NET}'''\n",
    "shortened": f"'''py\n{NET}'''\n",
    "capitalised": f"'''Python\n{NET}'''",
    "double quotes around a docstring of them": f'"""\n{NET}"""\nThat is all.\n',
    "cut off": f"'''python\n{NET}",
    "a second one": f"'''bash\npip install torch\n'''\n\n'''python\n{NET}'''\n",
    "a backtick": f"`{NET}`\n",
    "a backtick and the name": f"`python\n{NET}`\n",
    "a backtick glued to the end": f"`python\n{NET.rstrip()}`\n",
    "backticks glued to both ends": f"``{NET.rstrip()}``",
    "behind prose": f"Sure: `{NET}`\nEnjoy.\n",
    "the name alone": f"python\n{NET}",
}


@pytest.mark.parametrize("answer", FENCED.values(), ids=FENCED)
def test_a_name_of_the_language_in_a_block_is_no_code(answer):
    assert extract(answer) == (NET, "")


@pytest.mark.parametrize("answer", UNFENCED.values(), ids=UNFENCED)
def test_quotes_and_single_backticks_may_stand_for_fences(answer):
    code, problem = extract(answer)
    assert code == NET
    assert problem in (BARE, "the code block is not closed: the answer was cut off")


CONTINUED = [
    '    text = "one \\\n``` \\\n two"\n',
    "    text = 'one \\\n```python \\\n two'\n",
    '    text = "a \\\n b \\\n ``` c"\n',
    "    text = f'{x} \\\n~~~\n'\n",
    '    text = b"\\\\\\\n```"\n',
    "    text = 'it\\'s \\\n``` \"'\n",
    '    text = ("one" \\\n            "```")\n',
]


@pytest.mark.parametrize("line", CONTINUED)
def test_a_string_that_goes_on_in_the_next_line_hides_a_fence(line):
    code = f"class Net:\n{line}\n    def forward(self, x):\n        return x\n"
    assert extract(f"```python\n{code}```\nSo.\n") == (code, "")


@pytest.mark.parametrize("line", ['    text = "one \\\nLorem ipsum dolor"\n', "    x = 1 + \\\nother thing\n"])
def test_a_line_that_goes_on_is_no_prose(line):
    code = f"import torch\nclass Net:\n{line}    y = 2\n"
    assert extract(f"Here:\n\n{code}").code == code


PROSE = "Begin with `from torch import nn`, and so on.\n\n"
AS_WRITTEN = {
    "a docstring that shows a network": f'"""\nimport torch\nclass Net: example\n"""\n{NET}',
    "a docstring of one word": f'"""python"""\n{NET}',
    "a docstring that begins with one": f"'''python\nis what this is written in\n'''\n{NET}",
    "a comment that ends in a backtick": f"{NET}# see `Net`\n",
    "an import that prose names": PROSE + NET,
}


@pytest.mark.parametrize("answer", AS_WRITTEN.values(), ids=AS_WRITTEN)
def test_what_only_looks_like_a_fence_stays_as_it_is(answer):
    assert extract(answer).code == answer.removeprefix(PROSE)


def test_a_variable_of_that_name_is_code():
    code = "python = 3\nclass Net: pass\n"
    assert extract(f"```\n{code}```\n") == (code, "")


@pytest.mark.parametrize(
    "answer", ["'''python\nimport os\n'''\n", "`import torch`\n", "'''\nclass Net\n'''", "```\npython\n```"]
)
def test_where_there_is_no_network_there_is_none(answer):
    assert "class Net(" not in extract(answer).code
