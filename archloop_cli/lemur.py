"""`archloop lemur`: each command is a few lines: it parses, calls, prints."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from archloop import protocols, templates
from archloop.errors import NotFound
from archloop.training_pairs import encoded
from archloop_cli import terminal
from archloop_cli.bars import bars
from archloop_cli.options import LARGEST_SEED, MOST, Json, finite
from archloop_lab import files

if TYPE_CHECKING:
    from archloop_lab.lemur.corpus import Corpus
    from archloop_lab.lemur.tally import Tally

app = typer.Typer(no_args_is_help=True, help="LEMUR, the data set of neural networks, in and out.")

CorpusFile = Annotated[Path, typer.Argument(metavar="CORPUS", help="What `archloop lemur import` wrote.")]
Sizes = Literal["kept", "bucketed", "ignored"]
Split = Literal["train", "dev", "test", "all"]


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(help="nn-dataset's wheel, folder or database; or the word nn-dataset, to download it.")
    ],
    out: Annotated[Path, typer.Option(help="The corpus, made or added to.")],
    problems: Annotated[bool, typer.Option("--problems", help="List what was left out, one line each.")] = False,
    as_json: Json = False,
) -> None:
    """Read architectures and first epochs into a corpus file. Code is text here: it is never run."""
    from archloop_lab.lemur import importing, sources
    from archloop_lab.lemur.corpus import Corpus

    found = sources.opened(sources.downloaded() if source == sources.WORD else Path(source))
    with closing(Corpus(out)) as corpus, bars() as advance:
        imported = importing.into(corpus, found, advance)
    if as_json:
        terminal.put_json(imported.as_json())
        return
    for line in imported.lines():
        terminal.put(line)
    for problem in imported.problems if problems else ():
        terminal.put(f"{problem.kind}  {problem.place}  {problem.detail}".rstrip())


@app.command()
def curate(
    corpus: CorpusFile,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Jaccard similarity from which on two are near-copies.")
    ] = 0.90,
    sizes: Annotated[
        Sizes, typer.Option(help="Whether networks that differ in sizes only count as alike (ignored), or not (kept).")
    ] = "ignored",
    quota: Annotated[int, typer.Option(min=1, max=MOST, help="How many near-copies of a cluster are kept.")] = 5,
    as_json: Json = False,
) -> None:
    """Choose what is worth learning from; what becomes of each stands in the corpus."""
    from archloop_lab.lemur import curating
    from archloop_lab.lemur.tally import tally

    with _open(corpus) as opened:
        with bars() as advance:
            opened.curate(curating.curate(opened.preferred(), threshold, quota, sizes, advance))
        found = tally(opened.tally())
    if as_json:
        terminal.put_json(found.as_json())
    else:
        terminal.show(_table(found))


@app.command()
def pairs(
    corpus: CorpusFile,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines of prompt and completion.")],
    count: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="At most so many pairs, drawn by the seed.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the draw and of the prompts.")] = 0,
    template: Annotated[str, typer.Option(help="Of the prompts, as in the run.")] = "brief",
    protocol: Annotated[str, typer.Option(help="Whose images the prompts describe.")] = "cifar10",
    split: Annotated[Split, typer.Option(help="Which part of the networks.")] = "train",
) -> None:
    """Write what was kept as pairs to tune on: a full example and an infill example for each network."""
    from archloop_lab.lemur import pairs as writing

    templates.known(template)
    protocols.load(protocol)
    with _open(corpus) as opened:
        usable = writing.usable(opened.kept())
    for why, left_out in sorted(usable.left_out.items()):
        terminal.say(f"{left_out} left out: {why}")
    found = writing.written(usable.networks, split, seed=seed, template=template, protocol=protocol)
    lines = [pair.line() for pair in islice(found, count)]
    if not lines:
        raise NotFound("network to learn from", f"{corpus} ({split})")
    files.write_named(out, encoded(lines))
    terminal.say(f"{len(lines)} pairs")
    terminal.put(out)


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a run, finished or not.")],
    out: Annotated[Path, typer.Argument(help="Folder for ab/nn/nn and ab/nn/stat/train, made or added to.")],
    all_: Annotated[bool, typer.Option("--all", help="Every valid candidate, not only what was admitted.")] = False,
    prefix: Annotated[str, typer.Option(help="Of the names.")] = "unq",
) -> None:
    """Write a run's architectures and their first epochs in LEMUR's own file form."""
    from archloop_lab.lemur import exporting

    written = asyncio.run(exporting.export(directory, out, prefix, everything=all_))
    terminal.say(f"{written} architectures")
    terminal.put(out)


def _table(tally: "Tally") -> Table:
    """Draw a line for each family, the largest first, and one for all."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), show_footer=True, footer_style="bold")
    drawn.add_column("family", footer="all", no_wrap=True)
    drawn.add_column("in", str(sum(tally.totals.values())), justify="right")
    for why, total in tally.totals.items():
        drawn.add_column(why, str(total), justify="right", style="bold" if why == "kept" else None)
    for family, ends in sorted(tally.families.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        row = [ends.get(why, 0) for why in tally.totals]
        drawn.add_row(family or "none", *(str(number or "") for number in (sum(row), *row)))
    return drawn


@contextmanager
def _open(path: Path) -> Iterator["Corpus"]:
    from archloop_lab.lemur.corpus import Corpus

    with closing(Corpus.existing(path)) as corpus:
        yield corpus
