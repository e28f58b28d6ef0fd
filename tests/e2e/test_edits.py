"""Runs that edit: with a scripted LLM, whose edits apply or not, and with the small one, killed midway."""

import asyncio
import contextlib
import json
import random
import re
import signal
import sqlite3
import subprocess
import time
from collections import Counter

import pytest

from archloop.answers import edits
from archloop.contracts.values import Usage
from archloop.presets import checked
from archloop_cli.embedded import composed
from archloop_cli.layout import Layout, laid_out
from archloop_lab.needs import Wanted
from services.generator.backends.port import Answer, ServedModel
from services.registry.records import CandidateQuery
from tests.support import archloop, command, small_preset, without_settings

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]
NETWORK = """\
import torch
from torch import nn


def supported_hyperparameters():
    return {'lr', 'momentum'}


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        self.features = nn.Sequential(
            nn.Conv2d(in_shape[1], WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
        )
        self.head = nn.Linear(WIDTH * 16, out_shape[0])

    def forward(self, x):
        return self.head(self.features(x).flatten(1))

    def train_setup(self, prm):
        self.to(self.device)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    def learn(self, train_data):
        self.train()
        for inputs, labels in train_data:
            self.optimizer.zero_grad()
            self.loss(self(inputs.to(self.device)), labels.to(self.device)).backward()
            self.optimizer.step()
"""


class Scripted:
    """An LLM that writes a network of its own width, and edits by a layer more, well or badly by the seed."""

    async def ready(self):
        return True

    async def base(self):
        return ServedModel("tiny", "0" * 64)

    async def adapters(self):
        return frozenset()

    async def close(self):
        pass

    async def generate(self, prompt, _decoding, seed, _adapter):
        rng = random.Random(seed)
        shown = re.search(r"```python\n(.*?)```", prompt, re.DOTALL) if "<<<<<<< SEARCH" in prompt else None
        text = (
            self._edit(rng, shown[1]) if shown else f"```python\n{NETWORK.replace('WIDTH', str(rng.randint(4, 20)))}```"
        )
        return Answer(text, Usage(prompt_tokens=9, completion_tokens=9), "eos", None, 0.0)

    def _edit(self, rng, code):
        norm = f"            nn.Dropout({rng.randint(1, 30) / 100}),\n            nn.AdaptiveAvgPool2d(4),\n"
        edit = edits.render(code, code.replace("            nn.AdaptiveAvgPool2d(4),\n", norm))
        kinds = (
            edit,
            f"Sure!\n```diff\n{edit}```\nIt is more robust.",
            edit.replace("SEARCH\n", "SEARCH\n            nn.Tanh(),\n"),
            "I would rather not.",
        )
        return rng.choices(kinds, (3, 2, 2, 2))[0]


async def scripted(folder, mode, run_id="edits", **generation):
    spec = {
        "preset": "edits",
        "cycles": 3,
        "candidates": 6,
        "seed": 3,
        "protocol": "digits",
        "frozen": True,
        "generation": {"mode": mode, **generation},
    }
    spec = checked(spec, source="test")
    laid = Layout(laid_out(spec, Wanted.of("auto", "auto")), spec, folder)
    laid.__dict__["backend"] = Scripted()
    async with composed(folder, laid) as loop:
        await loop.request(run_id, spec)
        while await loop.finished(run_id) is None:
            await asyncio.sleep(0.05)
        assert await loop.bus.parked() == []
        return (await loop.store.candidates(CandidateQuery(run_id=run_id))).items


@pytest.mark.parametrize(("mode", "parents"), [("edit", "best"), ("mixed", "archive")])
async def test_edits_that_apply_are_networks_and_others_are_outcomes_with_their_reason(tmp_path, mode, parents):
    found = await scripted(tmp_path, mode, parents=parents)
    by_id = {candidate.candidate_id: candidate for candidate in found}
    edited = [candidate for candidate in found if candidate.parent]
    assert [candidate for candidate in found if candidate.cycle == 0 and candidate.parent] == []
    assert len(edited) == 12 if mode == "edit" else 0 < len(edited) < 12
    for child in edited:
        assert by_id[child.parent].valid
        assert by_id[child.parent].cycle < child.cycle
        assert not (child.valid and child.problem)
    problems = Counter(re.sub(r".*(no edit|not in the parent).*", r"\1", c.problem) for c in edited if c.problem)
    assert problems.keys() <= {"no edit", "not in the parent"}
    assert problems
    assert {c.evaluation.outcome for c in edited if c.problem} == {"contract_error"}
    assert any(child.valid for child in edited)


async def test_what_the_seed_program_wrote_is_edited_by_the_llm(tmp_path):
    found = await scripted(tmp_path, "edit", start="seed-program")
    first = {c.candidate_id: c for c in found if c.cycle == 0}
    assert {c.evaluation.outcome for c in first.values()} <= {"ok", "below_chance"}
    assert len({c.code_sha256 for c in first.values()}) == 6
    assert {c.parent in first for c in found if c.cycle == 1} == {True}


def rows(directory):
    """What the registry recorded of each candidate, as far as it does not depend on the clock."""
    with sqlite3.connect(f"file:{directory / 'registry.sqlite'}?mode=ro", uri=True) as registry:
        return registry.execute(
            "SELECT candidate_id, code_sha256, parent, prompt, problem, outcome, accuracy, verdict"
            " FROM candidate_rows ORDER BY cycle, idx"
        ).fetchall()


def killed_amid_edits(directory, preset):
    """Begin a run, and kill it once the first edit is on record."""
    begun = subprocess.Popen(
        command("run", "--preset", preset, "--out", directory),
        env=without_settings(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with begun:
        while begun.poll() is None:
            with contextlib.suppress(sqlite3.OperationalError):
                if any(parent for _, _, parent, *_ in rows(directory)):
                    begun.kill()
            time.sleep(0.02)
    assert begun.returncode == -signal.SIGKILL


@pytest.mark.thorough
def test_a_run_that_is_killed_amid_its_edits_and_resumed_is_the_run_it_would_have_been(tmp_path):
    preset = small_preset(tmp_path, candidates=4)
    preset.write_text(preset.read_text() + "generation: {mode: edit}\nfrozen: true\n")
    result = archloop("run", "--preset", preset, "--out", tmp_path / "whole", "--json")
    assert result.returncode == 0, result.stderr
    second = json.loads(result.stdout)["cycles"][1]
    assert second["edits"]["asked"] == 4 >= second["edits"]["applied"] >= second["edits"]["valid"]
    assert "longest<br>lineage" in (tmp_path / "whole/report.html").read_text()
    killed_amid_edits(tmp_path / "killed", preset)
    result = archloop("resume", tmp_path / "killed")
    assert result.returncode == 0, result.stderr
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
