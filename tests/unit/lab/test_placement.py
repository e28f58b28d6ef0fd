"""Where the work of a run goes on machines of many kinds, and what is refused."""

import pytest

from archloop import presets, protocols
from archloop.errors import InvalidInput
from archloop.gpus import Gpu
from archloop_lab import estimate
from archloop_lab.needs import Machine, Needs, Software, Wanted
from archloop_lab.placement import Placement, Role, told
from archloop_lab.placing import place
from archloop_lab.rooms import usable_gb

CODER, SMALL, LARGE = "x/coder-7b", "x/coder-1.5b", "x/coder-13b"
AUTO = Wanted()
ALL = Software(vllm=True, tgi=True, bitsandbytes=True)
FULL_OF_OTHERS = (Gpu(0, "G", 24, 2, "GPU-0"),)
HALF_FREE = (Gpu(0, "G", 80, 30, "GPU-0"),)
SLICES = tuple(Gpu(0, "G 1g.10gb", 10, 9.9, f"MIG-{number}aaaaaaa") for number in range(3))


def gpus(*sizes: float) -> tuple[Gpu, ...]:
    return tuple(Gpu(index, "G", size, size, f"GPU-{index}") for index, size in enumerate(sizes))


def needs(model: str, quantization: str = "nf4", protocol: str = "paper-cifar10", **spec: object) -> Needs:
    base = presets.load("paper").model_dump() | {"base_model": model, "protocol": protocol} | spec
    base["training"] |= {"quantization": quantization}
    return Needs.of(presets.checked(base, source="test"), protocols.load(protocol))


def placed(
    on: tuple[Gpu, ...], needed: Needs, wanted: Wanted = AUTO, software: Software = ALL, **machine: float
) -> Placement:
    facts = {"cores": 16, "memory_gb": 128.0, "slots": 16} | machine
    return place(Machine(gpus=on, **facts), needed, software, wanted)  # type: ignore[arg-type]


def shown(made: Placement) -> str:
    """Each role with the index of its GPU, evaluators with their slots, and who takes turns."""
    where = {
        role: " ".join(
            "cpu" if seat.gpu is None else f"{seat.gpu.index}" + (f"x{seat.slots}" if role is Role.EVALUATE else "")
            for seat in made.of(role)
        )
        for role in Role
    }
    turns = " ".join(sorted("/".join(sorted(each[0] for each in pair)) for pair in made.turns))
    return f"s {where[Role.SERVE]}, e {where[Role.EVALUATE]}, t {where[Role.TRAIN]}; {turns}".rstrip("; ")


@pytest.mark.parametrize(
    ("on", "model", "quantization", "what"),
    [
        ((), "tiny", "none", "s cpu, e cpu, t cpu"),
        ((), SMALL, "none", "s cpu, e cpu, t cpu"),
        (gpus(8), "tiny", "none", "s cpu, e 0x1, t 0; e/t"),
        (gpus(8), "smollm2", "none", "s 0, e 0x1, t 0; e/t"),
        (gpus(8), SMALL, "nf4", "s 0, e 0x1, t 0; e/s e/t s/t"),
        (gpus(12), "tiny", "none", "s cpu, e 0x2, t 0; e/t"),
        (gpus(12), "smollm2", "nf4", "s 0, e 0x1, t 0; e/t"),
        (gpus(12), SMALL, "nf4", "s 0, e 0x1, t 0; e/t"),
        (gpus(12), SMALL, "none", "s 0, e 0x1, t 0; e/t s/t"),
        (gpus(24), "smollm2", "none", "s 0, e 0x4, t 0; e/t"),
        (gpus(24), SMALL, "none", "s 0, e 0x3, t 0; e/t"),
        (gpus(24), CODER, "nf4", "s 0, e 0x1, t 0; s/t"),
        (gpus(24, 24), "tiny", "none", "s cpu, e 0x4 1x4, t 0; e/t"),
        (gpus(24, 24), SMALL, "nf4", "s 0, e 0x3 1x4, t 1; e/t"),
        (gpus(24, 24), CODER, "nf4", "s 0, e 0x1 1x4, t 1; e/t"),
        (gpus(80), CODER, "nf4", "s 0, e 0x4, t 0"),
        (gpus(80), CODER, "none", "s 0, e 0x4, t 0; e/t"),
        (gpus(80), LARGE, "none", "s 0, e 0x2, t 0; s/t"),
        (gpus(*[80] * 8), CODER, "nf4", "s 0, e 0x2 1x2 2x2 3x2 4x2 5x2 6x2 7x2, t 1"),
        (gpus(*[80] * 8), LARGE, "none", "s 0, e 0x2 1x2 2x2 3x2 4x2 5x2 6x2 7x2, t 1"),
        (gpus(12, 24), "smollm2", "none", "s 0, e 0x1 1x2, t 1; e/t"),
        (gpus(12, 24), CODER, "nf4", "s 1, e 0x2, t 1; s/t"),
        (gpus(24, 12), CODER, "nf4", "s 0, e 1x2, t 0; s/t"),
        (HALF_FREE, CODER, "nf4", "s 0, e 0x1, t 0; s/t"),
        (FULL_OF_OTHERS, "tiny", "none", "s cpu, e cpu, t cpu"),
        (FULL_OF_OTHERS, "smollm2", "none", "s cpu, e cpu, t cpu"),
        (SLICES, "smollm2", "nf4", "s 0, e 0x1 0x2 0x2, t 0; e/t"),
        (SLICES, SMALL, "nf4", "s 0, e 0x1 0x2 0x2, t 0; e/t"),
    ],
)
def test_what_goes_where(on: tuple[Gpu, ...], model: str, quantization: str, what: str) -> None:
    made = placed(on, needs(model, quantization))
    assert shown(made) == what
    assert_fits(made)


def placed_or_refused(on: tuple[Gpu, ...], needed: Needs) -> Placement | InvalidInput:
    try:
        return placed(on, needed)
    except InvalidInput as refused:
        return refused


def assert_fits(made: Placement) -> None:
    """No GPU is promised to what works on it at the same time beyond what is free, and each slot can hold its own."""
    for gpu in {seat.gpu for seat in made.seats if seat.gpu}:
        here = [seat for seat in made.seats if seat.gpu == gpu]
        for seat in here:
            apart = [each for each in here if frozenset({seat.role, each.role}) not in made.turns]
            pairs = [frozenset({one.role, other.role}) for one in apart for other in apart if one is not other]
            together = max(each.gb for each in apart) if set(pairs) & made.turns else sum(each.gb for each in apart)
            assert together <= usable_gb(gpu) + 0.01, (seat, apart)


@pytest.mark.parametrize("size", [8, 12, 16, 24, 32, 48, 80, 141])
@pytest.mark.parametrize("model", ["tiny", "smollm2", "a-0.5b", SMALL, "a-3b", CODER, LARGE, "a-70b"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_placed_fits_and_what_is_refused_says_what_would(
    size: int, model: str, quantization: str, count: int
) -> None:
    made = placed_or_refused(gpus(*[size] * count), needs(model, quantization))
    if isinstance(made, InvalidInput):
        assert made.field in {"base_model", "training.quantization"}
        assert "GB" in str(made)
        assert "--devices cpu" in str(made)
    else:
        assert_fits(made)
        assert made.fraction * size >= estimate.slot_gb(protocols.load("paper-cifar10")) - estimate.CONTEXT_GB - 0.1


@pytest.mark.parametrize(
    ("on", "model", "quantization", "wanted", "words"),
    [
        (gpus(12), CODER, "nf4", "auto", ["base_model", "4.4 billion", "18.2 GB", "11.5 to give", "--model"]),
        (gpus(8), CODER, "nf4", "auto", ["base_model", "2.9 billion"]),
        (gpus(24), CODER, "none", "auto", ["training.quantization", "nf4", "16.2 GB", "28.8 GB", "GPU 0"]),
        (gpus(8), SMALL, "none", "auto", ["training.quantization", "nf4", "7.3 GB", "10.0 GB"]),
        (gpus(24, 24), LARGE, "nf4", "auto", ["base_model", "8.9 billion", "33.8 GB"]),
        (FULL_OF_OTHERS, SMALL, "nf4", "auto", ["base_model", "2.0 of 24.0 are free"]),
        (FULL_OF_OTHERS, "smollm2", "none", "0", ["base_model", "serving", "1.0 to give"]),
        (FULL_OF_OTHERS, "tiny", "none", "0", ["base_model", "training", "1.0 to give"]),
        (gpus(4), "tiny", "none", "0", ["protocol", "paper-cifar10", "one candidate", "4.6 GB", "3.5 to give"]),
        ((), CODER, "nf4", "auto", ["training.quantization", "none", "CUDA GPU"]),
        (gpus(80), CODER, "nf4", "cpu", ["training.quantization", "none", "CUDA GPU"]),
        ((), "a-70b", "none", "auto", ["base_model", "billion", "168.0 GB", "128.0"]),
        (gpus(24), SMALL, "nf4", "1", ["--devices", "'1'", "one of 0"]),
        ((), SMALL, "nf4", "0", ["--devices", "'0'", "no GPU"]),
        (gpus(24, 24), SMALL, "nf4", "0,2", ["--devices", "'2'", "0, 1"]),
    ],
)
def test_what_does_not_fit_is_refused_with_numbers(
    on: tuple[Gpu, ...], model: str, quantization: str, wanted: str, words: list[str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        placed(on, needs(model, quantization), Wanted(wanted))
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("devices", "backend", "on", "model", "server", "what"),
    [
        ("auto", "auto", gpus(24), "smollm2", "vllm", "s 0, e 0x4, t 0; e/t"),
        ("auto", "cpu", gpus(24), "smollm2", "cpu", "s 0, e 0x4, t 0; e/t"),
        ("auto", "tgi", gpus(24), "smollm2", "tgi", "s 0, e 0x4, t 0; e/t"),
        ("auto", "vllm", gpus(24), "smollm2", "vllm", "s 0, e 0x4, t 0; e/t"),
        ("cpu", "auto", gpus(24), "smollm2", "cpu", "s cpu, e cpu, t cpu"),
        ("cpu", "cpu", gpus(24, 24), "tiny", "cpu", "s cpu, e cpu, t cpu"),
        ("0", "auto", gpus(24, 24), "smollm2", "vllm", "s 0, e 0x4, t 0; e/t"),
        ("1", "auto", gpus(24, 24), "smollm2", "vllm", "s 1, e 1x4, t 1; e/t"),
        ("1,0,1", "auto", gpus(24, 24), "smollm2", "vllm", "s 0, e 1x4 0x4, t 1; e/t"),
        ("0", "cpu", gpus(24), "tiny", "cpu", "s 0, e 0x4, t 0; e/t"),
        ("0", "auto", gpus(24), "tiny", "cpu", "s 0, e 0x4, t 0; e/t"),
    ],
)
def test_devices_and_servers_that_are_asked_for(
    devices: str, backend: str, on: tuple[Gpu, ...], model: str, server: str, what: str
) -> None:
    needed = needs(model, "none")._replace(chat=model != "tiny")
    made = placed(on, needed, Wanted.of(devices, backend))
    assert (made.backend, shown(made)) == (server, what)


@pytest.mark.parametrize(
    ("backend", "on", "software", "chat", "words"),
    [
        ("vllm", (), ALL, True, "no GPU to serve on"),
        ("tgi", (), ALL, True, "no GPU to serve on"),
        ("vllm", gpus(24), Software(), True, "archloop[vllm]"),
        ("tgi", gpus(24), Software(), True, "text-generation-launcher"),
        ("vllm", gpus(24), ALL, False, "chat template"),
    ],
)
def test_a_server_that_cannot_be_is_refused(
    backend: str, on: tuple[Gpu, ...], software: Software, chat: bool, words: str
) -> None:
    with pytest.raises(InvalidInput, match=r"--backend.*") as refused:
        placed(on, needs("smollm2", "none")._replace(chat=chat), Wanted.of("auto", backend), software)
    assert words in str(refused.value)


@pytest.mark.parametrize("devices", ["", "gpu", "0,", ",0", "-1", "0;1", "all", "0 1", "cuda:0", "٣"])
def test_devices_that_are_none_are_refused(devices: str) -> None:
    with pytest.raises(InvalidInput, match="--devices"):
        Wanted.of(devices, "auto")


@pytest.mark.parametrize("backend", ["", "VLLM", "sglang", "gpu", "ours"])
def test_backends_that_are_none_are_refused(backend: str) -> None:
    with pytest.raises(InvalidInput, match="--backend"):
        Wanted.of("auto", backend)


@pytest.mark.parametrize("protocol", ["digits", "shapes", "shapes32", "mnist5k"])
def test_what_a_gpu_would_hardly_begin_is_left_to_the_cpu(protocol: str) -> None:
    made = placed(gpus(24), needs("smollm2", "none", protocol))
    assert made.gpu_of(Role.EVALUATE) is None
    assert made.gpu_of(Role.SERVE) is not None
    assert any("the CPU evaluates" in line for line in made.why)
    assert placed(gpus(24), needs("smollm2", "none", protocol), Wanted("0")).gpu_of(Role.EVALUATE) is not None


@pytest.mark.parametrize(("cores", "memory", "slots"), [(1, 64, 1), (2, 64, 2), (8, 64, 8), (64, 6, 2), (64, 1000, 8)])
def test_there_are_no_more_slots_than_cores_and_memory_for_them(cores: int, memory: float, slots: int) -> None:
    made = placed(gpus(80, 80), needs(SMALL), cores=cores, memory_gb=memory)
    assert sum(seat.slots for seat in made.of(Role.EVALUATE)) == slots
    assert len(made.evaluator_gpus.split(",")) == slots


def test_a_lean_training_and_a_frozen_run_need_no_gpu_for_it() -> None:
    lean = needs("smollm2", "none")._replace(engine="lean")
    assert placed(gpus(24), lean).gpu_of(Role.TRAIN) is None
    frozen = needs(CODER, "none", frozen=True, bootstrap=None)
    assert placed(gpus(24), frozen).of(Role.TRAIN) == []


@pytest.mark.parametrize("devices", ["auto", "0", "0,1", "cpu"])
def test_the_seed_program_is_served_nowhere(devices: str) -> None:
    drawn = needs("seed-program", "none", frozen=True, bootstrap=None)
    made = placed(gpus(24, 24), drawn, Wanted.of(devices, "auto"))
    assert not made.of(Role.SERVE)
    assert not made.of(Role.TRAIN)
    assert all(title != "language model" and "seed-program" not in line for title, line in told(made))
    assert_fits(made)


@pytest.mark.parametrize("backend", ["vllm", "tgi"])
def test_a_server_for_the_seed_program_is_refused(backend: str) -> None:
    drawn = needs("seed-program", "none", frozen=True, bootstrap=None)
    with pytest.raises(InvalidInput, match="seed-program draws, and no model is served"):
        placed(gpus(24), drawn, Wanted.of("auto", backend))


@pytest.mark.parametrize(("size", "model"), [(24, CODER), (8, SMALL), (32, CODER), (48, LARGE), (32, "a-8b")])
def test_tgi_cannot_make_room(size: int, model: str) -> None:
    assert any(Role.SERVE in pair for pair in placed(gpus(size), needs(model)).turns)
    with pytest.raises(InvalidInput, match=r"--backend.*vllm or cpu"):
        placed(gpus(size), needs(model), Wanted("auto", "tgi"))


def test_nf4_without_bitsandbytes_is_refused() -> None:
    with pytest.raises(InvalidInput, match="qlora"):
        placed(gpus(24), needs(CODER), software=Software(vllm=True))


def test_a_placement_is_told_in_lines() -> None:
    lines = list(told(placed(gpus(24), needs(CODER))))
    assert lines == [
        ("language model", "vLLM on GPU 0 (G), 18.5 GB"),
        ("evaluators", "1 at a time on GPU 0 (G), 4.6 GB"),
        ("trainer", "on GPU 0 (G), 16.2 GB"),
        ("by turns", "the model server is stopped while an adapter is trained: there is no room for both"),
    ]
    every = {frozenset({one, other}) for one in Role for other in Role if one != other}
    assert sum(title == "by turns" for title, _ in told(placed(gpus(8), needs(SMALL)))) == len(every)
