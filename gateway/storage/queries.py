"""The named queries: `sql/queries/*.sql`, one file for each noun, as much code as any module is.

aiosql reads the files: `-- name: select_account^` opens a query, and its mark says what comes back (no mark: rows to
iterate over, `^`: one row or None, `$`: one value, `!`: the command's tag). A line that ends in `--? after` stands only
in those variants of its query that have the flag `after`.
"""

import itertools
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiosql
import asyncpg
from aiosql.types import QueryFn, SQLOperationType

from gateway.storage.database import Connection
from gateway.storage.sql_files import sql_directory

_NAME = re.compile(r"^-- name: (\w+)", re.MULTILINE)
_CONDITION = re.compile(r"\s*--\? (\w+)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A statement, compiled once. Called with a connection and its parameters by name, it runs.

    aiosql's own functions are not used for that: they list the connection's attributes at each call.
    """

    name: str
    sql: str
    parameters: tuple[str, ...]
    operation: SQLOperationType

    def __call__(self, connection: Connection, **values: Any) -> Any:
        """Answer an async iterator over the rows, or an awaitable, as the query's mark says."""
        arguments = self._ordered(values)
        match self.operation:
            case SQLOperationType.SELECT:
                return _rows(connection, self.sql, arguments=arguments)
            case SQLOperationType.SELECT_ONE:
                return connection.fetchrow(self.sql, *arguments)
            case SQLOperationType.SELECT_VALUE:
                return connection.fetchval(self.sql, *arguments)
            case SQLOperationType.INSERT_UPDATE_DELETE:
                return connection.execute(self.sql, *arguments)
            case _:
                raise TypeError(f"{self.name} has a mark that nobody has needed yet")

    async def planned_anew(self, connection: Connection, **values: Any) -> AsyncIterator[asyncpg.Record]:
        """Iterate over the rows, by a plan made for these values alone.

        For what a plan for any values would be far from: Postgres settles on such a one after five runs.
        """
        statement = await connection.prepare(self.sql)
        for row in await statement.fetch(*self._ordered(values)):
            yield row

    def _ordered(self, values: Mapping[str, Any]) -> Sequence[Any]:
        if len(values) != len(self.parameters) or not all(name in values for name in self.parameters):
            raise TypeError(f"{self.name} takes {sorted(self.parameters)}, and was given {sorted(values)}")
        return [values[parameter] for parameter in self.parameters]


async def _rows(connection: Connection, sql: str, *, arguments: Sequence[Any]) -> AsyncIterator[asyncpg.Record]:
    for row in await connection.fetch(sql, *arguments):
        yield row


class Queries:
    """All named queries, as attributes; those with conditional lines by `variant`."""

    def __init__(self, directory: Path) -> None:
        files = sorted(directory.glob("*.sql"))
        self.sources: Final = dict(source for file in files for source in _split(file.read_text(encoding="utf-8")))
        self._compiled: dict[tuple[str, frozenset[str]], Query] = {}
        for name in self.sources:
            self.variant(name, ())

    def __getattr__(self, name: str) -> Query:
        if name.startswith("_") or name not in self.sources:
            raise AttributeError(f"there is no query named {name!r}")
        return self.variant(name, ())

    def variant(self, name: str, flags: Collection[str]) -> Query:
        """Answer the query as it reads with these flags; a flag that it does not know is a ValueError."""
        key = (name, frozenset(flags))
        if key not in self._compiled:
            self._compiled[key] = _compiled(name, source=self.sources[name], flags=key[1])
        return self._compiled[key]

    def flags(self, name: str) -> frozenset[str]:
        """Answer the flags that a query's lines ask for."""
        return frozenset(found[1] for line in self.sources[name].splitlines() if (found := _CONDITION.search(line)))


def _split(text: str) -> Iterable[tuple[str, str]]:
    for found, following in itertools.pairwise([*_NAME.finditer(text), None]):
        if found is not None:
            yield found[1], text[found.start() : following.start() if following is not None else len(text)]


def _compiled(name: str, *, source: str, flags: frozenset[str]) -> Query:
    lines, unknown = [], set(flags)
    for line in source.splitlines():
        condition = _CONDITION.search(line)
        if condition is None or condition[1] in flags:
            lines.append(_CONDITION.sub("", line))
        if condition is not None:
            unknown.discard(condition[1])
    if unknown:
        raise ValueError(f"{name} has no line for {sorted(unknown)}")
    loaded: QueryFn = getattr(aiosql.from_str("\n".join(lines), "asyncpg", mandatory_parameters=False), name)
    signature = loaded.__signature__
    parameters = tuple(signature.parameters)[1:] if signature is not None else ()
    return Query(name=name, sql=loaded.sql, parameters=parameters, operation=loaded.operation)


queries: Final = Queries(sql_directory() / "queries")
