"""Proof that a server serves this adapter: the trainer's probe, asked again."""

from archloop.contracts.adapter import Probe
from services.generator.backends.port import Answer, Backend, Decoding
from services.generator.errors import AdapterUnusable


async def prove(backend: Backend, adapter: str, probe: Probe) -> None:
    """Raise AdapterUnusable where the answer is not the adapter's, or where it could be the base model's."""
    answer = await backend.generate(probe.prompt, Decoding(probe.max_new_tokens), None, adapter)
    if _is(answer, probe.base_text, probe.base_logprob, probe.tolerance):
        raise AdapterUnusable(f"probe: the server answers for {adapter!r} as the base model does")
    if not _is(answer, probe.text, probe.logprob, probe.tolerance):
        raise AdapterUnusable(
            f"probe: {answer.text!r} with log-probability {answer.logprob:.4f} is not the trainer's "
            f"{probe.text!r} with {probe.logprob:.4f} ± {probe.tolerance}"
        )


def _is(answer: Answer, text: str, logprob: float, tolerance: float) -> bool:
    return _sure(answer.text) == _sure(text) and abs(answer.logprob - logprob) <= tolerance


def _sure(text: str) -> str:
    """Return the text without an incomplete character at its end.

    vLLM's stream holds the beginning of a character back, where the trainer decodes it to U+FFFD.
    """
    return text.rstrip("\ufffd")
