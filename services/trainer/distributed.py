"""Starting a training that the warm process does not do: on a GPU, or spread over several processes."""

import sys
from pathlib import Path

from services.trainer import plan
from services.trainer.job import Job
from services.trainer.settings import TrainerSettings

_ENTRY = "services.trainer.worker"


def has_own_processes(job: Job, settings: TrainerSettings) -> bool:
    """Return whether the job gets processes of its own; `lean` is for small models in the warm process."""
    return job.training.engine == "trl" and (settings.gpus > 0 or settings.processes > 1)


def processes(settings: TrainerSettings) -> int:
    """Return the number of processes of one job: one for each GPU, if there are any."""
    return settings.gpus or settings.processes


def warm_command(settings: TrainerSettings) -> list[str]:
    """Return the command of the warm process, which sees no GPU, because CUDA does not survive its forks.

    OpenMP's threads wait asleep: where they spin and the cores are shared, training was seen to take 7 times as long.
    """
    python = ["env", "OMP_WAIT_POLICY=passive", "CUDA_VISIBLE_DEVICES=", sys.executable, "-P"]
    arguments = [settings.base_model, str(settings.threads or 0), settings.precision]
    return [*python, "-m", "services.trainer.warm", *arguments]


def launch_command(job_file: Path, settings: TrainerSettings) -> list[str]:
    """Return the command that trains one job in one process, or in several by `accelerate launch`.

    Several are on this machine's GPUs or, without any, its cores. `--multi_gpu` is what spreads a job in both cases:
    with `--cpu` accelerate starts one process, whatever is asked. It also keeps the user's own `accelerate config` out.
    """
    threads = plan.threads(settings.threads, parameters=0)
    entry = ["-m", _ENTRY, str(job_file), str(threads), *([] if settings.gpus else ["--cpu"])]
    count = processes(settings)
    if count == 1:
        return [*_python(settings), *entry]
    return [
        *_python(settings),
        *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--num_processes", str(count)),
        *("--main_process_port", "0", "--num_cpu_threads_per_process", str(threads)),
        *("--mixed_precision", "no", "--dynamo_backend", "no"),
        *entry,
    ]


def _python(settings: TrainerSettings) -> list[str]:
    return ["env", "OMP_WAIT_POLICY=passive", "PYTHONSAFEPATH=1", *_seen(settings), sys.executable]


def _seen(settings: TrainerSettings) -> list[str]:
    """Return the variables that say which GPUs the processes see."""
    if not settings.gpus:
        return ["CUDA_VISIBLE_DEVICES="]
    chosen = [f"CUDA_VISIBLE_DEVICES={settings.visible}"] if settings.visible else []
    return ["CUDA_DEVICE_ORDER=PCI_BUS_ID", *chosen]
