"""A cache of bounded size that its users share fairly: no one can push out what the others use.

A plain LRU cache serves whoever fills it: two documents of 200 kB took the place of everybody's documents, and each
had to be parsed again.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    value: Value
    size: int
    owner: Hashable


class FairCache(Generic[Key, Value]):
    """Keeps values of at most `max_size` in all; what exceeds it is taken from the owner that has the most."""

    def __init__(self, max_size: int) -> None:
        self.max_size: Final = max_size
        self.size = 0
        self._entries: dict[Key, _Entry[Value]] = {}
        self._keys: dict[Hashable, dict[Key, None]] = {}
        """The keys of each owner, the latest used last."""
        self._sizes: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """Return the value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        keys = self._keys[entry.owner]
        del keys[key]
        keys[key] = None
        return entry.value

    def put(self, key: Key, value: Value, *, size: int, owner: Hashable) -> None:
        """Keep a value, unless it is larger than the cache."""
        self._remove(key)
        if size > self.max_size:
            return
        self._entries[key] = _Entry(value, size, owner)
        self._keys.setdefault(owner, {})[key] = None
        self._count(owner, size)
        while self.size > self.max_size:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self._remove(next(iter(self._keys[largest])))

    def _remove(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        del self._keys[entry.owner][key]
        self._count(entry.owner, -entry.size)
        if not self._keys[entry.owner]:
            del self._keys[entry.owner], self._sizes[entry.owner]

    def _count(self, owner: Hashable, size: int) -> None:
        self._sizes[owner] += size
        self.size += size
