"""Earlier evaluations, for the evaluator's cache."""

from archloop.contracts.values import Evaluation
from services.registry.stores.port import Store


class StoreResults:
    """Earlier evaluations, looked up in the store itself."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, code_sha256: str, protocol_sha256: str) -> Evaluation | None:
        """Return the first evaluation of this code under this protocol."""
        return await self._store.evaluation(code_sha256, protocol_sha256)
