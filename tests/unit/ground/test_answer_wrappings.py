"""A known program, wrapped in every way in which LLMs answer, comes back to the byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from archloop.answers import extract

DOCSTRING = '''"""Use it so:

```python
net = Net((1, 3, 32, 32), (10,), {}, "cpu")
```

~~~
or so
~~~
"""
import torch


class Net(torch.nn.Module):
    def forward(self, x):
        """Say `x`, or ```x```."""
        return x
'''
STRINGS = r"""import torch

FENCE = "```"
OTHER = '\'~~~'
LONG = r'''
```
\'''' + f"{FENCE}"  # ``` and "
class Net:
    pass  # it's

    x = ~~~-1
    y = "a" \
        'b```'


"""
TABS = "\nimport torch\n\n\n# größe\nclass Net:\n\tdef f(self):\n\t\treturn '网络 🧠\x0c\u2028'\n\n\n"
LIST = "import torch\nx = [\n1,\n- 2,\n]\n> 3\n* 4\nclass Net: pass\n"  # no Python, but what is said is what counts
SMALL = "class Net: pass\n"
PROGRAMS = st.sampled_from([DOCSTRING, STRINGS, TABS, LIST, SMALL])

INFOS = st.sampled_from(
    [
        *("python", "Python", "py", "PY", "python3", "python3.11", "py3", "ipython", "", " python", "  py  "),
        *('python title="net.py"', "python {.line-numbers}", "{python}", "{.python}", "{.python .numberLines #net}"),
        *("{python, echo=FALSE}", "python:net.py", "net.py", "src/net.py", "python=", "python{1,3-4}", "python,ignore"),
        *("python net.py", "python showLineNumbers", "{ .python }", "language-python", "python3 {highlight: [1]}"),
        *("pytorch", "text/x-python", "python copy", 'py filename="a b.py"', "{code-cell} ipython3", "text", "code"),
    ]
)
FENCES = st.sampled_from(["```", "````", "`````", "~~~", "~~~~"])
BEFORE = st.sampled_from(
    [
        *(
            "",
            "Sure!\n\n",
            "Here's the network, with \"quotes\" and ''' and `code`:\n",
            "# Answer\n\n1. think\n2. write\n\n",
        ),
        *(
            "```bash\npip install torch\n```\n\n",
            "```text\nclass Net is what is wanted\n```\n",
            "```\nin: (1, 3)\n```\nso\n",
        ),
        *('~~~json\n{"lr": 1}\n~~~\n', "```python\nclass Net: draft = 1\n```\nNo, wait:\n", "<answer>\n", "***\n\n"),
        *(
            "<think>\n```python\nclass Net: draft = 1\n```\n</think>\n",
            "<thinking>It's\n```python\nclass Net</thinking>\n",
        ),
        *(
            "Hm.\n```python\nclass Net: draft = 1\n</think>\n\n",
            "<details>\n<summary>Code</summary>\n",
            "| a |\n|---|\n",
        ),
        *(
            "Setext\n======\n",
            "    indented = 1\n\n",
            "[a]: b\n",
            "- one\n\n  two\n\nThree.\n",
            "> quoted\n\n",
            "\ufeff",
        ),
    ]
)
AFTER = st.sampled_from(
    [
        *(
            "",
            "\n",
            "\nHope it helps!\n",
            "\n```bash\npython net.py\n```\n",
            "\n```python\nx = Net()\n```\n",
            "</answer>",
        ),
        *(
            "\n```\n3 parameters\n```\n",
            '\nIt\'s "small".\n\n- a\n- b\n',
            "\n<think>\nDone?\n```python\nclass Net: draft = 1\n",
        ),
        *("\n<|im_end|>", "\n```python\nclass Net", "\n---\n", "\n~~~\nshapes: 3\n~~~\n"),
    ]
)


CONTAINERS = {
    "none": ("", ""),
    "bullet": ("- ", "  "),
    "number": ("1. ", "   "),
    "deep": ("- a\n  1. ", "     "),
    "indented": ("  ", "  "),
    "far": ("      ", "      "),
    "quote": ("> ", "> "),
    "tight quote": (">", ">"),
    "list in a quote": ("> - ", ">   "),
}


def inside(container: str, block: str) -> str:
    """Every line in the container; empty ones stay empty but in a quote."""
    first, rest = CONTAINERS[container]
    head, *lines = block.removesuffix("\n").split("\n")
    return "\n".join([first + head, *(rest + line if line or ">" in rest else line for line in lines), ""])


@settings(max_examples=600, deadline=None)
@given(
    PROGRAMS,
    INFOS,
    FENCES,
    st.sampled_from(sorted(CONTAINERS)),
    BEFORE,
    AFTER,
)
def test_it_comes_back_to_the_byte(program, info, fence, container, before, after):
    block = inside(container, f"{fence}{info}\n{program}{fence}\n")
    assert extract(before + block + after).code == program


@settings(max_examples=200, deadline=None)
@given(PROGRAMS, INFOS, st.sampled_from(["```", "````", "~~~"]), BEFORE, st.sampled_from(["\r\n", "\r"]))
def test_whatever_ends_its_lines(program, info, fence, before, end):
    answer = f"{before}{fence}{info}\n{program}{fence}\nThat is all.\n"
    assert extract(answer.replace("\n", end)).code == program.replace("\n", end)


GLUED = st.sampled_from(
    ["```", "``` ", "```\n", "``` That is all.\n", "```\n\nThat's all.", "````", "```<|im_end|>", "```</answer>"]
)


@settings(max_examples=200, deadline=None)
@given(PROGRAMS, INFOS, BEFORE, GLUED)
def test_with_its_closing_fence_glued_to_the_last_line(program, info, before, closing):
    program = program.rstrip()
    assert extract(f"{before}```{info}\n{program}{closing}").code == f"{program}\n"


@settings(max_examples=200, deadline=None)
@given(PROGRAMS, INFOS, FENCES, BEFORE, st.sampled_from(["", "`", "``", "  ``"]))
def test_with_its_closing_fence_cut_off(program, info, fence, before, rest):
    if before.startswith("```python") or "```\nin" in before:
        before = ""  # what is complete is taken instead
    code, problem = extract(f"{before}{fence}{info}\n{program}{rest}")
    assert code == program
    assert "not closed" in problem


@pytest.mark.parametrize("program", [DOCSTRING, TABS, SMALL])
@pytest.mark.parametrize(
    ("opening", "closing"), [("````", "```"), ("~~~~~", "~~~"), ("```", "`````"), ("~~~", "```"), ("```", "~~~")]
)
def test_with_a_closing_fence_of_another_length_or_kind(program, opening, closing):
    assert extract(f"Here:\n{opening}python\n{program}{closing}\nDone.\n") == (program, "")


@pytest.mark.parametrize("program", [DOCSTRING, TABS, SMALL])
@pytest.mark.parametrize(
    "rest",
    [
        "\nThis network is small.\n\n- It trains fast.\n",
        "\nRun it:\n```bash\npython net.py\n```\n",
        "\nUse it so:\n\n```python\nfrom net import Net\n```\n",
    ],
)
def test_with_prose_where_the_closing_fence_should_be(program, rest):
    assert extract(f"Here:\n```python\n{program}{rest}").code.rstrip("\n") == program.rstrip("\n")


LINES = st.lists(st.sampled_from(["x = 1", "", "- a", "> b", "   c", "1. d", "\ty"]), max_size=5)
OPENINGS = st.sampled_from(
    ["```python", " ```python", "   ```python", "- ```python", "> ```python", "1. - ```python", "2) ~~~python"]
)


@settings(max_examples=500, deadline=None)
@given(LINES, OPENINGS, LINES, st.sampled_from(["```", "~~~", "   ```", "> ```", "", "````  "]), LINES)
def test_a_block_that_commonmark_has_is_its_block(before, opening, body, closing, after):
    """Where not every line of an indented block is indented, more of the indentation is left."""
    document = "\n".join([*before, opening, *body, closing, *after])
    blocks = [token for token in MarkdownIt("commonmark").parse(document) if token.type == "fence"]
    lines = document.split("\n")
    ends = [b for b in blocks if lines[b.map[1] - 1] == closing != ""]
    closed = [b for b in ends if closing.strip("> ") not in b.content.split()]
    if len(blocks) == 1 and closed and closed[0].content.strip():
        expected, code = closed[0].content, extract(document).code
        assert code == expected or (opening.startswith(" ") and code.split() == expected.split())
