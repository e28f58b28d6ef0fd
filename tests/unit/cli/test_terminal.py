"""The one door: whatever comes from outside is shown as it is, and obeyed by nobody; ruff forbids the other ways."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from archloop.sanitising import plain, plain_lines
from archloop_cli import terminal
from archloop_lab.report import sheet

ROOT = Path(__file__).parents[3]
HOSTILE = {
    "closing tag": "x[/b]y",
    "opening tag": "exp[lr=0.1]",
    "style": "[bold red]ok[/]",
    "link": "[link=http://elsewhere.example]report[/link]",
    "extra": "archloop[data]",
    "emoji": ":boom: :skull:",
    "backslash": r"a\[b]",
    "escape": "a\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "one-byte csi": "a\x9b31mred",
    "carriage return": "bad\rgood",
    "line end": "a\nerror [integrity] forged",
    "backspace": "bad\b\b\bgood",
    "bidi": "gpj.\u202eexe",
    "isolate": "a\u2066b\u2069",
    "zero width": "a\u200bb\ufeff",
    "line separator": "a\u2028b",
    "not utf-8": "caf\udce9",
    "lone surrogate": "a\ud800b",
    "nul": "a\x00b",
    "braces": "{task.description} {0} %s",
    "html": "<script>alert(1)</script>&amp;",
}
each_hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


@each_hostile
def test_plain_text_is_one_printable_line_that_keeps_what_can_be_read(text):
    assert plain(text).isprintable()
    assert (plain(text) == text) is text.isprintable()


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x1b[31m", r"a\x1b[31m"),
        ("caf\udce9", r"caf\xe9"),
        ("a\ud800b", r"a\ud800b"),
        ("a\u202eb", r"a\u202eb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("a\U000e0001b", r"a\U000e0001b"),
        ("175\u2009000", "175\u2009000"),
        ("größer ≥ 漢字 🙂", "größer ≥ 漢字 🙂"),
    ],
)
def test_what_cannot_be_shown_stands_as_an_escape(text, seen):
    assert plain(text) == seen
    assert plain_lines("x\n\ty" + text).startswith("x\n\ty")


@each_hostile
@pytest.mark.parametrize(
    "say",
    [
        terminal.put,
        terminal.say,
        lambda text: terminal.say(text, mark=text, style="red"),
        lambda text: terminal.fail("system", text, [text]),
        lambda text: terminal.show(_table(text)),
        terminal.draw,
        lambda text: terminal.draw(terminal.styled(text, "bold")),
    ],
    ids=["put", "say", "marked", "fail", "table", "draw", "styled"],
)
def test_every_way_to_say_it_shows_it_as_it_is(text, say, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    say(text)
    out, err = capsys.readouterr()
    seen = out + err
    assert all(part in seen for part in plain_lines(text).split("\n"))
    assert all(line.isprintable() for line in seen.split("\n"))


@each_hostile
def test_a_status_and_a_traceback_are_shown_as_they_are(text, capsys):
    with terminal.working(text):
        pass
    terminal.dump(text)
    assert all(line.isprintable() for line in capsys.readouterr().err.expandtabs().split("\n"))


@each_hostile
def test_json_is_ascii(text, capsys):
    terminal.put_json({"name": text})
    assert capsys.readouterr().out.strip().isprintable()


@each_hostile
def test_a_page_shows_it_as_it_is(text):
    page = sheet.template("sheet.html.j2").render(title=text, lead=text, sections=[])
    assert "<script>alert" not in page
    assert all(line.expandtabs().isprintable() for line in page.split("\n"))


FORBIDDEN = {
    "print": "print(f'{1}')\n",
    "console": "from rich.console import Console\n\nConsole()\n",
    "module": "import rich.console\n\nrich.console.Console()\n",
    "rich.print": "from rich import print\n\nprint('x')\n",
    "escape": "from rich.markup import escape\n\nescape('x')\n",
    "text": "from rich.text import Text\n\nText.from_markup('x')\n",
    "column": "from rich.progress import TextColumn\n\nTextColumn('x')\n",
    "status": "from rich.status import Status\n\nStatus('x')\n",
    "echo": "import typer\n\ntyper.echo('x')\n",
    "coloured echo": "import typer\n\ntyper.secho('x')\n",
    "question": "import typer\n\ntyper.confirm('x')\n",
    "click": "import click\n\nclick.secho('x')\n",
    "stream": "import sys\n\nsys.stdout.write('x')\n",
    "stream of errors": "from sys import stderr\n\nstderr.write('x')\n",
    "JSON": "from rich import print_json\n\nprint_json('x')\n",
    "pretty": "from rich.pretty import pprint\n\npprint('x')\n",
    "log": "from rich.logging import RichHandler\n\nRichHandler()\n",
    "traceback": "from rich.traceback import install\n\ninstall()\n",
    "prompt": "from rich.prompt import Prompt\n\nPrompt.ask('x')\n",
    "Markdown": "import rich.markdown\n\nrich.markdown.Markdown('x')\n",
}


@pytest.mark.parametrize("code", FORBIDDEN.values(), ids=FORBIDDEN)
@pytest.mark.parametrize("place", ["archloop_cli/new.py", "archloop_lab/report/new.py"])
def test_no_other_way_gets_past_the_linter(code, place):
    command = [sys.executable, "-m", "ruff", "check", "--select", "T20,TID251", "--stdin-filename", place, "-"]
    done = subprocess.run(command, cwd=ROOT, input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "T201" in done.stdout or "TID251" in done.stdout


def _table(text: str) -> Table:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    return table
