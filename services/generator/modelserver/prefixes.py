"""Keys and values of what prompts begin with alike, computed once, in blocks of tokens."""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from torch import Tensor

BLOCK = 32
_KEPT, _SEEN = 64, 4096


class Prefixes:
    """Blocks of earlier prompts by all tokens up to their end; a block is kept when it comes for the second time.

    Those that came longest ago make room for new ones, the end of a prompt before its beginning.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._most = kept
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def fill(self, states: Tensor, prompt: Sequence[int]) -> int:
        """Copy what is known of the prompt into its states (..., T, head size); return how many tokens that is.

        It is never all of the prompt, for what comes after the last token has to be computed.
        """
        known = 0
        for end, name in _blocks(prompt[:-1]):
            if name not in self._kept:
                break
            states[..., known:end, :] = self._kept[name]
            known = end
        return known

    def keep(self, states: Tensor, prompt: Sequence[int]) -> None:
        """Note a prompt whose states (..., T, head size) are complete."""
        for end, name in reversed(list(_blocks(prompt))):
            if name in self._seen and name not in self._kept:
                self._kept[name] = states[..., end - BLOCK : end, :].clone()
            for known in (self._seen, self._kept):
                if name in known:
                    known.move_to_end(name)
            self._seen[name] = None
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        while len(self._seen) > _SEEN:
            self._seen.popitem(last=False)


def _blocks(prompt: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the end of each whole block, and a digest of all tokens up to there."""
    digest = hashlib.sha256()
    for end in range(BLOCK, len(prompt) + 1, BLOCK):
        digest.update(array("q", prompt[end - BLOCK : end]).tobytes())
        yield end, digest.digest()
