"""The named queries of `sql/queries/*.sql`, one file for each noun.

aiosql reads the files: `-- name: select_account` opens a query, `-- name: delete_account!` one that returns no rows,
and `:name` is a parameter. A line that ends in `--? after` is only part of those variants of its query that are asked
for with the flag `after`.
"""

import enum
import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiosql
import asyncpg
from aiosql.types import QueryFn

from gateway.domain.cursors import Keyset
from gateway.domain.pages import Window
from gateway.storage.database import Connection
from gateway.storage.sql_files import sql_directory

_NAME = re.compile(r"^-- name: (\w+)", re.MULTILINE)
_CONDITION = re.compile(r"\s*--\? (\w+)$")

Flags = dict[str, dict[str, Any]]
"""Flags of a query, each with the parameters that its lines use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A statement, compiled once; each method runs it on a connection, with all its parameters by name.

    aiosql's own functions are not used for that: they list the connection's attributes at each call.
    """

    name: str
    sql: str
    parameters: tuple[str, ...]

    async def fetch(self, connection: Connection, /, **values: Any) -> list[asyncpg.Record]:
        """Return all rows."""
        return await connection.fetch(self.sql, *self._arguments(values))

    async def fetch_with_custom_plan(self, connection: Connection, /, **values: Any) -> list[asyncpg.Record]:
        """Return all rows, by a plan that Postgres makes for these values.

        For queries whose best plan depends on a value; all others are planned once for any values.
        """
        arguments = self._arguments(values)
        await connection.execute("set plan_cache_mode = force_custom_plan")
        rows = await connection.fetch(self.sql, *arguments)
        await connection.execute("reset plan_cache_mode")  # after an error, the pool does it
        return rows

    async def fetch_row(self, connection: Connection, /, **values: Any) -> asyncpg.Record | None:
        """Return the first row."""
        return await connection.fetchrow(self.sql, *self._arguments(values))

    async def fetch_value(self, connection: Connection, /, **values: Any) -> Any:
        """Return the first column of the first row; None where there is no row."""
        return await connection.fetchval(self.sql, *self._arguments(values))

    async def execute(self, connection: Connection, /, **values: Any) -> str:
        """Return the command's tag."""
        return await connection.execute(self.sql, *self._arguments(values))

    def columns_of(self, source: object) -> dict[str, Any]:
        """Return the attributes that the parameters name, of an enum its value."""
        values = {name: getattr(source, name) for name in self.parameters}
        return {name: value.value if isinstance(value, enum.Enum) else value for name, value in values.items()}

    def _arguments(self, values: dict[str, Any]) -> list[Any]:
        if len(values) != len(self.parameters) or not all(name in values for name in self.parameters):
            raise TypeError(f"{self.name} takes {sorted(self.parameters)}, and was given {sorted(values)}")
        return [values[parameter] for parameter in self.parameters]


def given_flags(*given: tuple[str, str, Any]) -> Flags:
    """Return the flags whose value is not None, each with the name of the parameter that takes it."""
    return {flag: {parameter: value} for flag, parameter, value in given if value is not None}


def window_flags(window: Window[Keyset], *, descending: bool = False) -> Flags:
    """Return the flags of a page: `above` and `below` for its cursors, and at last its direction with the limit.

    The limit is one row more than the page has. `descending` is the order of the list.
    """
    above, below = (window.before, window.after) if descending else (window.after, window.before)
    flags: Flags = {}
    if above is not None:
        flags["above"] = {"above_value": above.value, "above_id": above.id}
    if below is not None:
        flags["below"] = {"below_value": below.value, "below_id": below.id}
    flags["descending" if descending != window.backward else "ascending"] = {"limit": window.size + 1}
    return flags


class Queries:
    """All named queries: without flags as attributes, with flags by `variant`."""

    def __init__(self, directory: Path) -> None:
        texts = (file.read_text(encoding="utf-8") for file in sorted(directory.glob("*.sql")))
        self.sources: Final = dict(source for text in texts for source in _split(text))
        self._variants: dict[tuple[str, frozenset[str]], Query] = {}
        for name in self.sources:
            setattr(self, name, self.variant(name, ()))

    def __getattr__(self, name: str) -> Query:
        raise AttributeError(f"there is no query named {name!r}")

    def variant(self, name: str, flags: Collection[str]) -> Query:
        """Return the query as it reads with these flags. Raises ValueError for a flag that it does not have."""
        key = (name, frozenset(flags))
        if key not in self._variants:
            self._variants[key] = _compiled(name, source=self.sources[name], flags=key[1])
        return self._variants[key]

    def with_flags(self, name: str, flags: Flags) -> tuple[Query, dict[str, Any]]:
        """Return the query as it reads with these flags, and the parameters that they bring."""
        query = self._variants.get((name, frozenset(flags))) or self.variant(name, flags)
        return query, {name: value for given in flags.values() for name, value in given.items()}

    def flags(self, name: str) -> frozenset[str]:
        """Return the flags that a query has."""
        return frozenset(found[1] for line in self.sources[name].splitlines() if (found := _CONDITION.search(line)))


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each query in a file."""
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
    return Query(name=name, sql=loaded.sql, parameters=parameters)


queries: Final = Queries(sql_directory() / "queries")
