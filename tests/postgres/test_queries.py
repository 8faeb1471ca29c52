import itertools
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

import gateway
from gateway.storage.database import Database, connection, open_database, transaction
from gateway.storage.queries import Queries, Query, queries

SOURCE = "\n".join(path.read_text() for path in Path(gateway.__file__).parent.rglob("*.py"))


def reachable(name: str) -> Iterator[Query]:
    """Yield a query's variants: of the flags that order rows exactly one, of the others none, each alone, and all.

    Those of a page that merges ranges belong together.
    """
    merging = {flag for flag in queries.flags(name) if flag.startswith(("merged", "each"))}
    orders = set(re.findall(r"^\s*order by .*--\? (\w+)$", queries.sources[name], re.MULTILINE)) - merging or {""}
    options = queries.flags(name) - orders - merging
    for order, chosen in itertools.product(orders, [set(), options, *({option} for option in options)]):
        yield queries.variant(name, {order, *chosen} - {""})
        merged = {flag for flag in merging if flag.removeprefix("merged_") in {"merged", *order.split("_")}}
        for each in (flag for flag in merging if flag.startswith("each")):
            yield queries.variant(name, {order, *chosen, *merged, each})


async def test_every_query_can_be_prepared(database: Database) -> None:
    refused = {}
    async with connection(database) as held:
        for query in itertools.chain.from_iterable(map(reachable, queries.sources)):
            try:
                await held.prepare(query.sql)
            except asyncpg.PostgresError as error:
                refused[query.name, query.sql] = str(error)
    assert refused == {}


def test_every_query_is_used_and_exists() -> None:
    used = set(re.findall(r"\bqueries\.(\w+)\.\w+", SOURCE)) | set(
        re.findall(r'\.(?:variant|with_flags)\("(\w+)"', SOURCE)
    )
    assert used == queries.sources.keys()


@pytest.fixture
def examples(tmp_path: Path) -> Queries:
    (tmp_path / "examples.sql").write_text("""
-- name: select_numbers
-- Those from one to a limit.
select number::int
from generate_series(1, :limit::int) as number
where true
    and number > :above --? above
    and number <> all(:without::int[]) --? without
order by number desc --? descending
;

-- name: select_pair
select :left::text as left, :right::text || ':not_a_parameter' as right;

-- name: select_sum
select :left::int + :right::int + :left::int;

-- name: create_nothing!
create temporary table nothing () on commit drop;
""")
    return Queries(tmp_path)


async def test_a_query_returns_rows_a_row_a_value_or_the_command_tag(database: Database, examples: Queries) -> None:
    async with transaction(database) as held:
        assert [row["number"] for row in await examples.select_numbers.fetch(held, limit=3)] == [1, 2, 3]
        pair = await examples.select_pair.fetch_row(held, right="b", left="a")
        assert pair is not None
        assert dict(pair) == {"left": "a", "right": "b:not_a_parameter"}
        assert await examples.select_sum.fetch_value(held, left=1, right=5) == 7
        assert await examples.create_nothing.execute(held) == "CREATE TABLE"


async def test_a_variant_has_the_lines_of_its_flags(database: Database, examples: Queries) -> None:
    some = examples.variant("select_numbers", {"above", "descending"})
    async with connection(database) as held:
        assert [row["number"] for row in await some.fetch(held, limit=5, above=2)] == [5, 4, 3]


def test_a_variant_is_compiled_once(examples: Queries) -> None:
    once = examples.variant("select_numbers", ["without", "above"])
    assert examples.variant("select_numbers", {"above", "without"}) is once
    assert once.parameters == ("limit", "above", "without")
    assert examples.flags("select_numbers") == {"above", "without", "descending"}


def test_an_unknown_flag_is_refused(examples: Queries) -> None:
    with pytest.raises(ValueError, match=r"select_numbers has no line for \['below'\]"):
        examples.variant("select_numbers", {"below"})


def test_an_unknown_query_is_refused(examples: Queries) -> None:
    with pytest.raises(AttributeError, match="there is no query named 'select_letters'"):
        _ = examples.select_letters


@pytest.mark.parametrize("given", [{}, {"left": 1}, {"left": 1, "right": 2, "middle": 3}, {"left": 1, "middle": 3}])
async def test_parameters_are_given_exactly(database: Database, examples: Queries, given: dict[str, int]) -> None:
    async with connection(database) as held:
        with pytest.raises(TypeError, match=r"select_sum takes \['left', 'right'\]"):
            await examples.select_sum.fetch_value(held, **given)


async def test_a_violated_constraint_is_named(database: Database) -> None:
    """Storage maps these names to errors of the domain."""
    async with transaction(database) as held:
        await held.execute("insert into accounts (id, name) values ($1, 'one')", account := uuid4())
        with pytest.raises(asyncpg.ForeignKeyViolationError) as caught:
            await held.execute(
                """
                insert into installations (
                    id, application_id, account_id, status, reason_code, reason_since, metadata, version,
                    connection_failures, created_at, updated_at
                )
                values ($1, $1, $2, 'AUTHORIZED', 'AUTHORIZATION_COMPLETED', now(), '{}', 1, 0, now(), now())
                """,
                uuid4(),
                account,
            )
        assert caught.value.constraint_name == "installation_has_an_application"


@pytest.mark.parametrize("metadata", ['{"tenant": 7}', "no JSON"])
async def test_queries_are_planned_once_but_those_by_a_value_for_each(database_url: str, metadata: str) -> None:
    """Also on a connection that a query with a custom plan has used, or has failed on."""
    page = queries.variant("select_installation_page", {"created_descending"})
    by_metadata = queries.variant("select_installation_page", {"created_descending", "metadata"})
    listed = {"parents": [None], "limit": 21}
    async with open_database(database_url, pool_size=1) as database:
        with suppress(asyncpg.DataError):
            async with connection(database) as held:
                await by_metadata.fetch_with_custom_plan(held, metadata="{}", **listed)
                await by_metadata.fetch_with_custom_plan(held, metadata=metadata, **listed)
        async with connection(database) as held:
            await page.fetch(held, **listed)
            found = await held.fetch("select statement, generic_plans, custom_plans > 0 from pg_prepared_statements")
    plans = {statement: (generic, custom) for statement, generic, custom in found}
    assert plans[page.sql] == (1, False)
    assert plans[by_metadata.sql] == (0, True)
