"""A placement as the services get it: their settings, and how the model server is started."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from archloop import presets
from archloop.contracts.spec import SEED_PROGRAM
from archloop.gpus import Gpu
from archloop_cli import layout
from archloop_cli.layout import Layout
from archloop_lab.needs import Wanted
from archloop_lab.placement import Placement, Role, Seat
from archloop_lab.report import view
from services.generator.backends.on_demand import OnDemand
from services.generator.backends.seed_program import SeedProgram

BOOTSTRAP = {"pairs": {"key": "pairs/a", "sha256": "a" * 64, "bytes": 1}, "count": 1}
ONE, TWO = Gpu(0, "G", 24, 24, "GPU-aaaa"), Gpu(1, "G", 24, 24, "MIG-bbbb")


def made(folder: Path, backend: str = "cpu", serve=None, evaluate=(), train=None, **spec) -> Layout:
    seats = [
        Seat(Role.SERVE, serve, 18.0),
        *(Seat(Role.EVALUATE, gpu, 4.0, slots) for gpu, slots in evaluate),
        Seat(Role.TRAIN, train, 6.5),
    ]
    chosen = presets.checked(presets.load("demo").model_dump() | spec, source="test")
    return Layout(Placement(backend, tuple(seats), 0.2), chosen, folder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("evaluate", "value"),
    [
        ((), ""),
        (((None, 2),), ""),
        (((ONE, 1),), "GPU-aaaa"),
        (((ONE, 3),), "GPU-aaaa,GPU-aaaa,GPU-aaaa"),
        (((ONE, 1), (TWO, 2)), "GPU-aaaa,MIG-bbbb,MIG-bbbb"),
        (((Gpu(5, "G", 8, 8), 2),), "5,5"),
    ],
)
def test_evaluators_get_a_slot_of_each_seat(tmp_path: Path, monkeypatch, evaluate, value: str) -> None:
    settings = made(tmp_path, evaluate=evaluate).evaluator
    assert (settings.gpus, settings.gpu_memory_fraction) == (value, 0.2 if value else 1.0)
    monkeypatch.setenv("ARCHLOOP_EVALUATOR_GPUS", "7")
    assert made(tmp_path, evaluate=evaluate).evaluator.gpus == "7", "what the environment says comes first"


@pytest.mark.parametrize("train", [None, ONE, TWO, Gpu(3, "G", 8, 8)])
def test_the_trainer_gets_its_gpu_and_what_it_was_promised(tmp_path: Path, train: Gpu | None) -> None:
    settings = made(tmp_path, train=train).trainer
    told = (settings.gpus, settings.visible, settings.gpu_memory_gb)
    assert told == ((1, train.visible, 6.5) if train else (0, "", 0.0))
    assert settings.work_dir == tmp_path / "training"


@pytest.mark.parametrize(
    ("spec", "trains"),
    [
        ({"cycles": 2}, True),
        ({"cycles": 1}, False),
        ({"cycles": 6, "frozen": True}, False),
        ({"cycles": 1, "bootstrap": BOOTSTRAP}, True),
        ({"cycles": 6, "frozen": True, "bootstrap": BOOTSTRAP}, True),
    ],
)
def test_the_trainer_warms_up_where_something_will_be_tuned(tmp_path: Path, spec: dict, trains: bool) -> None:
    assert made(tmp_path, **spec).trains is trains


@pytest.mark.parametrize(
    ("serve", "answer", "given"),
    [
        (None, 256, {}),
        (ONE, 256, {"device": "cuda:0", "gpu": "GPU-aaaa", "max_total_tokens": 512, "start_s": 900.0}),
        (TWO, 2048, {"device": "cuda:0", "gpu": "MIG-bbbb", "max_total_tokens": 512, "start_s": 900.0}),
    ],
)
async def test_our_own_server_is_started_where_it_was_placed(tmp_path, monkeypatch, serve, answer, given) -> None:
    started = []

    @asynccontextmanager
    async def spawned(model, **options):
        started.append((model, options))
        yield "http://127.0.0.1:9"

    monkeypatch.setattr(layout, "spawned", spawned)
    monkeypatch.setattr(layout.estimate, "positions", lambda _: 512)
    generation = presets.load("demo").generation.model_dump() | {"max_new_tokens": answer}
    backend = made(tmp_path, serve=serve, generation=generation).backend
    assert isinstance(backend, OnDemand)
    await backend.start()
    await backend.close()
    usual = {"slots": 16, "threads": 1, "log": tmp_path / "modelserver.log"}
    assert started == [("tiny", usual | given)]


def test_the_seed_program_needs_no_server(tmp_path: Path) -> None:
    assert isinstance(made(tmp_path, base_model=SEED_PROGRAM, frozen=True).backend, SeedProgram)


@pytest.mark.parametrize(("answer", "positions", "tokens"), [(256, None, 2304), (2048, None, 4096), (2048, 3000, 3000)])
def test_vllm_gets_its_seat(tmp_path: Path, monkeypatch, answer: int, positions: int | None, tokens: int) -> None:
    monkeypatch.setattr(layout.estimate, "positions", lambda _: positions)
    generation = presets.load("demo").generation.model_dump() | {"max_new_tokens": answer}
    vllm = made(tmp_path, "vllm", serve=ONE, generation=generation, base_model="x/y-7b")._vllm_process()
    assert (vllm.model, vllm.served_as, vllm.gpu, vllm.fraction) == ("x/y-7b", "x/y-7b", "GPU-aaaa", 0.75)
    assert (vllm.rank, vllm.max_tokens) == (presets.load("demo").training.r, tokens)


def test_tgi_is_rolled_by_the_generator_itself(tmp_path: Path) -> None:
    made_here = made(tmp_path, "tgi", serve=ONE, base_model="x/y-7b")
    assert "--model-id x/y-7b" in made_here.generator.tgi_command
    assert "{port}" in made_here.generator.tgi_command
    assert not isinstance(made_here.backend, OnDemand)
    assert not made_here.generator.tgi_overlap, "there is no room for two"


@pytest.mark.parametrize(
    ("manifest", "wanted"),
    [
        ({}, Wanted()),
        ({"placement": {"devices": "cpu", "backend": "auto", "plan": []}}, Wanted("cpu")),
        ({"placement": {"devices": "0,1", "backend": "vllm"}}, Wanted("0,1", "vllm")),
        ({"placement": {"backend": "cpu"}}, Wanted("auto", "cpu")),
        ({"placement": {"devices": "3"}}, Wanted("3")),
    ],
)
def test_a_run_goes_on_as_it_was_begun(manifest: dict, wanted: Wanted) -> None:
    assert layout.asked_for(manifest) == wanted
    placement = Placement("cpu", (Seat(Role.SERVE, None),))
    assert layout.asked_for(layout.recorded(placement, wanted)) == wanted


@pytest.mark.parametrize(
    ("serve", "train", "words"),
    [
        (None, None, ""),
        (ONE, None, "our own server on GPU 0 (G), 18.0 GB"),
        (None, ONE, "trainer: on GPU 0 (G), 6.5 GB"),
        (TWO, ONE, "our own server on GPU 1 slice bbbb (G)"),
        (Gpu(3, "H", 80, 80), Gpu(3, "H", 80, 80), "trainer: on GPU 3 (H)"),
    ],
)
def test_the_report_tells_what_gpus_did(tmp_path: Path, serve: Gpu | None, train: Gpu | None, words: str) -> None:
    kept = layout.recorded(made(tmp_path, serve=serve, train=train).placement, Wanted())
    told = view._on_gpus(kept)
    assert words in told
    assert bool(told) == bool(words)
    assert view._on_gpus({}) == ""
