"""Live progress of a run: one line per cycle, growing, and bars for what is under way."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from archloop.contracts.spec import RunSpec
from archloop_cli import terminal
from archloop_cli.terminal import styled
from services.registry.statistics.summary import CycleSummary, Summary


def percent(value: float | None, digits: int = 0) -> str:
    """Format a share for people; a dash where it is undefined."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def cycle_table(summary: Summary, title: str = "") -> Table:
    """Draw one row per cycle, within 80 columns: what the paper's tables show."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("cycle", "valid", "rate", "95 %", "mean", "best", "≥ thr.", "novel", "admitted", "unique", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    for cycle in summary.cycles:
        table.add_row(*_row(cycle))
    return table


def _row(cycle: CycleSummary) -> tuple[str, ...]:
    low, high = cycle.valid_rate_low, cycle.valid_rate_high
    return (
        str(cycle.cycle),
        f"{cycle.valid + cycle.stopped}/{cycle.generated}",
        _tight(cycle.valid_rate),
        "–" if low is None or high is None else f"{100 * low:.0f}–{100 * high:.0f}",
        _tight(cycle.mean_accuracy, 1),
        _tight(cycle.best_accuracy, 1),
        _tight(cycle.share_ge_threshold_trained),
        *map(str, (cycle.novel, cycle.admitted, cycle.unique_total)),
        "–" if cycle.seconds.total is None else f"{cycle.seconds.total:.0f}",
    )


def _tight(value: float | None, digits: int = 0) -> str:
    return percent(value, digits).replace(" ", "")


class Progress:
    """Renders summaries as they come; on a terminal in place, elsewhere a line per closed cycle."""

    def __init__(self, run_id: str, spec: RunSpec) -> None:
        self._run_id, self._spec = run_id, spec
        self._started = time.monotonic()
        self._settled_at_start: int | None = None
        self._reported = -1
        self.parked = 0
        self._live = Live(console=terminal.err, auto_refresh=False, transient=True)

    def update(self, summary: Summary) -> None:
        """Show where the run is."""
        if terminal.err.is_terminal:
            self._live.update(self._render(summary), refresh=True)
            return
        for cycle in summary.cycles:
            if cycle.closed and cycle.cycle > self._reported:
                self._reported = cycle.cycle
                terminal.say(_line(cycle))

    def _render(self, summary: Summary) -> RenderableType:
        total = self._spec.cycles * self._spec.candidates
        settled = sum(c.evaluated + c.lost for c in summary.cycles)
        current = summary.cycles[-1] if summary.cycles else None
        head = styled(f"{self._run_id}  cycle {len(summary.cycles)}/{self._spec.cycles}", "bold")
        head.append(f"   {_clock(time.monotonic() - self._started)} elapsed{self._eta(settled, total)}", style="dim")
        if self.parked:
            head.append(f"   {self.parked} parked: archloop parked list", style="bold red")
        parts: list[RenderableType] = [head, ProgressBar(total=total, completed=settled, width=72)]
        if current is not None:
            parts.append(_outcomes(current))
        if collapsed := [said for cycle in summary.cycles[-2:] if (said := _collapse(cycle))]:
            parts.append(styled(collapsed[-1].lstrip(", "), "yellow"))
        return Group(*parts, cycle_table(summary))

    def _eta(self, settled: int, total: int) -> str:
        if self._settled_at_start is None:
            self._settled_at_start = settled
        done = settled - self._settled_at_start
        if done < 8:
            return ""
        left = (time.monotonic() - self._started) / done * (total - settled)
        return f", about {_clock(left)} left"

    @asynccontextmanager
    async def following(self, read: Callable[[], Awaitable[Summary]]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Keep the display up inside of the block; call what is yielded to refresh it."""

        async def refresh() -> None:
            self.update(await read())

        if terminal.err.is_terminal:
            with self._live:
                yield refresh
        else:
            yield refresh


def _outcomes(cycle: CycleSummary) -> RenderableType:
    text = styled(f"generated {cycle.generated}  evaluated {cycle.evaluated}  judged {cycle.judged}   ", "")
    for outcome, count in sorted(cycle.outcomes.items(), key=lambda item: -item[1]):
        text += styled(f"{outcome} {count}  ", "green" if outcome == "ok" else "yellow")
    return text


def _line(cycle: CycleSummary) -> str:
    stopped = f", {cycle.stopped} of them stopped early" if cycle.stopped else ""
    return (
        f"cycle {cycle.cycle}: valid {cycle.valid + cycle.stopped}/{cycle.generated} ({percent(cycle.valid_rate)})"
        f"{stopped}, "
        f"mean accuracy {percent(cycle.mean_accuracy, 1)}, best {percent(cycle.best_accuracy, 1)}, "
        f"novel {cycle.novel}, admitted {cycle.admitted}, unique {cycle.unique_total}{_collapse(cycle)}"
    )


def _collapse(cycle: CycleSummary) -> str:
    return f", collapse: step {cycle.collapse.step}" if cycle.collapse and cycle.collapse.step else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
