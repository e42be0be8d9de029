"""State in the memory of a test, which counts what is asked of it."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Sequence

from execution_dataflow.persistent_state import PersistentState
from execution_dataflow.persistent_state.overlay import StateOverlay
from execution_dataflow.persistent_state.places import Place
from execution_dataflow.store_errors import UnstorableValueError
from execution_dataflow.stores.journal import StateChange, StateValue

OWN = "operation:orders/load"


class KeptValues:
    """A `StateSource` over a dictionary."""

    def __init__(self) -> None:
        self.values: dict[Place, StateValue] = {}
        self.asked: Counter[str] = Counter()

    def read(self, namespace: str, key: str) -> StateValue | None:
        self.asked[f"{namespace}#{key}"] += 1
        return self.values.get(Place(namespace, key))

    def keys(self, namespace: str, prefix: str) -> Sequence[str]:
        self.asked[f"{namespace}#{prefix}*"] += 1
        return sorted(key for where, key in self.values if where == namespace and key.startswith(prefix))

    def encode(self, name: str, value: object) -> bytes:
        try:
            return pickle.dumps(value)
        except (TypeError, AttributeError, pickle.PicklingError) as fault:
            raise UnstorableValueError(name, str(fault)) from fault

    def decode(self, name: str, data: bytes) -> object:
        return pickle.loads(data)

    def attempt(self, number: int = 1) -> tuple[PersistentState, StateOverlay]:
        overlay = StateOverlay(self, number, lambda: OWN, lambda: "load")
        return PersistentState(overlay), overlay

    def commit(self, changes: Sequence[StateChange]) -> None:
        for namespace, key, data, expected in changes:
            place = Place(namespace, key)
            known = self.values.get(place)
            assert expected is None or expected == (known.version if known else 0)
            if data is None:
                self.values.pop(place, None)
            else:
                self.values[place] = StateValue(data, known.version + 1 if known else 1)

    def put(self, key: str, value: object, namespace: str = OWN) -> None:
        """As another attempt does that commits at once."""
        self.commit([StateChange(namespace, key, self.encode(key, value))])
