"""vLLM as a process of ours: on loopback, on a port that nobody was told, with a key that only we know (0.33.0).

Whoever may load an adapter chooses what is served, so both the key and the port are made anew at each start.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from archloop.errors import InvalidInput, Unavailable
from services.generator.backends.child_process import RunningProcess, begun, free_port, installed, said
from services.generator.transport import ServerClient

PROGRAM = "vllm"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM has kernels for
_ADAPTERS, _KEPT = 2, 4  # in one batch: the active one and the one before it; and in the host's memory
_STOP_S, _LOOK_S = 60.0, 0.2
_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
)


@dataclass(frozen=True)
class VllmProcess:
    """How vLLM is started: on the GPU that CUDA_VISIBLE_DEVICES is to name, with a share of its memory."""

    model: str
    served_as: str
    gpu: str
    fraction: float
    rank: int
    max_tokens: int
    log: Path
    start_s: float = 900.0

    def command(self, port: int) -> list[str]:
        """Return the command line. Raises InvalidInput for a rank beyond what vLLM serves."""
        return [
            *(installed(PROGRAM) or PROGRAM, "serve", self.model, "--served-model-name", self.served_as),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--enable-lora", "--max-loras", str(_ADAPTERS), "--max-cpu-loras", str(_KEPT)),
            *("--max-lora-rank", str(_rank(self.rank)), "--enable-prefix-caching"),
            *("--dtype", "bfloat16", "--gpu-memory-utilization", f"{self.fraction:.3f}"),
            # Without it the model's own generation_config would decode otherwise than requests ask.
            *("--max-model-len", str(self.max_tokens), "--generation-config", "vllm"),
        ]

    @asynccontextmanager
    async def running(self, key: str) -> AsyncIterator[str]:
        """Start vLLM and yield its URL once it is healthy; it ends with the context, or with this process.

        Raises Unavailable, with the last line that it printed, where it does not come up.
        """
        port = free_port()
        variables = {**_VARIABLES, "VLLM_API_KEY": key, "CUDA_VISIBLE_DEVICES": self.gpu}
        began = self.log.stat().st_size if self.log.exists() else 0
        process = await begun(self.command(port), port, stop_s=_STOP_S, log_file=self.log, variables=variables)
        try:
            await self._ready(process, began)
            yield process.url
        finally:
            await process.stop()

    async def _ready(self, process: RunningProcess, began: int) -> None:
        server = ServerClient(process.url, self.start_s)
        ended = asyncio.ensure_future(process.ended())
        try:
            async with asyncio.timeout(self.start_s):
                while not await server.healthy():
                    if ended.done():
                        raise Unavailable(f"vLLM {ended.result()}{self._said(began)}")
                    await asyncio.wait({ended}, timeout=_LOOK_S)
        except TimeoutError as error:
            raise Unavailable(f"vLLM does not answer after {self.start_s:g} s{self._said(began)}") from error
        finally:
            ended.cancel()
            await server.close()

    def _said(self, began: int) -> str:
        with self.log.open("rb") as output:
            return said(output, began)


def _rank(wanted: int) -> int:
    """Return the smallest rank that vLLM can be told and that is no less. Raises InvalidInput."""
    for rank in RANKS:
        if rank >= wanted:
            return rank
    raise InvalidInput("training.r", wanted, f"at most {RANKS[-1]}, the most that vLLM serves")
