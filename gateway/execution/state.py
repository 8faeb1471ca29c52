"""What the functions of a compiled operation share during one run, and the turns in which they run."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter, thread_time
from typing import Any, Final, NamedTuple, Optional

from graphql import FieldNode, GraphQLError, located_error
from graphql.execution.values import VariableValues

from gateway.execution.errors import OperationTooComplex
from gateway.usecases.batch_loader import MappedFuture

TURN_SECONDS: Final = 0.02
"""The CPU that operations take between two turns of the event loop, all together. The rows that are requested in one
turn are read together, so shorter turns take more statements."""
MAX_RESPONSE_BYTES: Final = 8_000_000
"""A page of 100 with 16 kB of metadata each, twice, is 3.3 MB."""
RUNS_BEFORE = 2
"""Generating the writers takes 40 us for each field, as much as parsing it."""
_RUNS_COMPLETED: Final = 100
UNCOUNTED_CHARACTERS: Final = 64
"""Shorter strings are not counted: the cost of the operation limits their number."""


class Turns:
    """Divides the time of the event loop: between two of its turns, operations take TURN_SECONDS of CPU in all.

    Each waits for its next turn in the order of arrival. A turn is measured by the thread's CPU, so that a busy machine
    does not split the loads of one turn. Reading it is a system call, of 1 us or more, where the clock takes 0.1: it is
    read only when so much time has gone by that the turn can be over.
    """

    def __init__(self) -> None:
        self._ends = 0.0
        """In seconds of `thread_time`."""
        self._lasts_until = 0.0
        """In seconds of `perf_counter`; it may last longer."""
        self._waiting: list[asyncio.Future[None]] = []
        self._again: list[asyncio.Future[None]] = []
        """Those for whom the turn that they waited for was over before they came to run: they come first."""

    def is_over(self) -> bool:
        """Return whether the turn's time is used up."""
        now = perf_counter()
        if now < self._lasts_until:
            return False
        left = self._ends - thread_time()
        self._lasts_until = now + left
        return left < 0

    async def next(self) -> None:
        """Let the event loop run everything else that is ready, and go on in the next turn that has time left."""
        queue = self._waiting
        while True:
            loop = asyncio.get_running_loop()
            turn = loop.create_future()
            if not (self._waiting or self._again):
                loop.call_soon(self._begin)
            queue.append(turn)
            await turn
            if not self.is_over():
                return
            queue = self._again

    def _begin(self) -> None:
        self._ends, self._lasts_until = thread_time() + TURN_SECONDS, perf_counter() + TURN_SECONDS
        turns, self._again, self._waiting = self._again + self._waiting, [], []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)


class Position(NamedTuple):
    """A position in the operation: a field, or the items of its list."""

    name: str
    """`Type.field`."""
    nodes: Sequence[FieldNode]
    nullable: bool


@dataclass(slots=True, eq=False)
class Place:
    """The place of an object, a list or a failed value in the response."""

    parent: Optional["Place"]
    container: Any
    key: str | int
    position: Position
    nulled: bool = False

    def path(self) -> list[str | int]:
        """Return the keys from the root of the data to this place."""
        path, place = list[str | int](), self
        while place.parent is not None:
            path.append(place.key)
            place = place.parent
        return path[::-1]

    def is_detached(self) -> bool:
        """Return whether the value is no longer part of the response, because a place above it became null."""
        place: Place | None = self
        while place is not None:
            if place.nulled:
                return True
            place = place.parent
        return False


Completer = Callable[[Any, "ExecutionState", Any, Any, Place], None]
"""Writes a resolved value to `container[key]`: called with value, state, container, key and the place above. It adds
errors to the state, and raises none."""


Settled = MappedFuture[Any, Any] | asyncio.Future[Any]
"""A future that is done, or a MappedFuture whose batch is."""


def answer_of(settled: Settled) -> Any:
    """Return the result of what is done, or raise its error."""
    if isinstance(settled, MappedFuture):
        return settled.answer()
    try:
        return settled.result()
    except asyncio.CancelledError:
        raise RuntimeError("The value's task was cancelled.") from None


Resolver = Callable[[Any, "ExecutionState"], Any]
Write = Callable[[Any, "ExecutionState"], Any]


class Writer:
    """Makes the JSON of resolved values, see `direct`."""

    __slots__ = ("write",)

    def __init__(self, write: Write) -> None:
        self.write = write
        """Returns the JSON, a container that may be filled later. Raises where anything is unusual."""


@dataclass(slots=True, frozen=True, eq=False)
class Referenced:
    """A field whose rows are looked up together for all objects that have it."""

    cache: str
    """The attribute of the operation's loaders."""
    key: str
    writer: Writer


class RootField(NamedTuple):
    """A field of the operation's root type."""

    key: str
    position: Position
    resolve: Resolver
    complete: Completer
    direct: "WarmWriter"


class WarmWriter:
    """The direct writer of a root field, made when the field was completed RUNS_BEFORE times."""

    __slots__ = ("_make", "_runs", "_writer")

    def __init__(self, make: Callable[[], Writer]) -> None:
        self._make = make
        self._runs = 0
        self._writer: Writer | None = None

    def get(self) -> Writer | None:
        """Count one run, and return the writer; None where the field is to be completed."""
        self._runs += 1
        if self._runs <= RUNS_BEFORE:
            return None
        if self._writer is None:
            self._writer = self._make()
        return self._writer

    def suspend(self) -> None:
        """Have the field completed for some runs: what was unusual may be so again, and was written in vain."""
        self._runs = RUNS_BEFORE - _RUNS_COMPLETED


Groups = list[list[RootField]]
"""The root fields: the groups run one after the other, the fields of a group together."""


@dataclass(kw_only=True, slots=True)
class ExecutionState:
    """What the functions of a compiled operation share during one run."""

    context: Any
    variable_values: VariableValues
    root_value: Any = None
    turns: Turns = field(default_factory=Turns)
    max_response_bytes: int = MAX_RESPONSE_BYTES
    arguments: dict[object, Any] = field(default_factory=dict)
    """The arguments of each resolver, made once for all objects of a list."""
    errors: list[GraphQLError] = field(default_factory=list)
    late: list[tuple[Awaitable[Any], Callable[[Settled], None]]] = field(default_factory=list)
    """The values that are awaited, each with what writes it."""
    references: dict[Referenced, list[tuple[Any, dict[str, Any]]]] = field(default_factory=partial(defaultdict, list))
    """The ids that objects refer to, each with the object."""
    rest: list[Callable[[], None]] = field(default_factory=list)
    """What writes the items of lists that wait for the next turn."""
    characters: int = 0

    def fail(self, error: Exception, position: Position, container: Any, key: str | int, parent: Place) -> None:
        """Add a field's error, and write null to the nearest place that may be null."""
        place: Place | None = Place(parent, container, key, position)
        assert place is not None  # noqa: S101 - for the loop's type
        if place.is_detached():
            return
        self.errors.append(located_error(error, position.nodes, place.path()))
        while not place.position.nullable and place.parent is not None:
            place = place.parent
        place.nulled = True
        place.container[place.key] = None

    def must_pause(self) -> bool:
        """Return whether the rest has to wait: the turn is over, or the response too large."""
        return self.turns.is_over() or self.characters > self.max_response_bytes

    def too_large(self) -> OperationTooComplex:
        """Return the error of a response that is larger than it may be."""
        return OperationTooComplex(
            f"The response would be larger than {self.max_response_bytes} bytes. Ask for shorter pages, or for less of"
            " each item.",
            limit="responseBytes",
            allowed=self.max_response_bytes,
        )

    async def pause(self) -> None:
        """Wait for the next turn. Raises OperationTooComplex where the response is too large."""
        if self.characters > self.max_response_bytes:
            raise self.too_large()
        await self.turns.next()
