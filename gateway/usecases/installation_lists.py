"""Lists of installations: of all that the caller sees, or of the same list of many parents in one statement.

A list that is searched by names is read in two steps. The first finds the applications and accounts with such a name,
within what the caller sees; the second lists their installations by the indexes on both. Names alone could be found by
reading every installation only. Where too many have such a name, the list is refused: it would be shorter than it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Keyset
from gateway.domain.errors import BadUserInput
from gateway.domain.installations import InstallationStatus
from gateway.domain.pages import InstallationFilter, InstallationList, OrderDirection, Page, Window
from gateway.domain.principals import Principal
from gateway.storage.applications import select_ids_by_name
from gateway.storage.database import Connection
from gateway.storage.installation_pages import Parts, count_installations, select_installation_pages
from gateway.usecases.visibility import visible_installations

MOST_FOUND_BY_NAME: Final = 500
"""Of applications, and of accounts."""
_Part = tuple[Sequence[UUID | None], InstallationList]
"""Parents, and a list that each of them has."""


async def list_installations(
    connection: Connection,
    principal: Principal,
    *,
    ids: Sequence[UUID | None],
    listed: InstallationList,
    window: Window[Keyset],
    parts: Parts,
) -> dict[UUID | None, Page[Record]]:
    """Read one page of the list of each parent, as rows that have these parts.

    Raises:
        Forbidden: The list is filtered by metadata, which the caller may not read.
        BadUserInput: Too many applications or accounts have the name that is searched.
    """
    rows: dict[UUID | None, list[Record]] = {parent: [] for parent in ids}
    lists = await _parts(connection, principal, ids=ids, listed=listed)
    for parents, part in lists:
        found = await select_installation_pages(connection, ids=parents, listed=part, window=window, parts=parts)
        for parent, some in found.items():
            rows[parent] += some
    if len(lists) > 1:
        reverse = (listed.order.direction is OrderDirection.DESC) != window.backward
        for some in rows.values():
            some.sort(key=itemgetter(listed.order.column, "id"), reverse=reverse)
    return {parent: window.page(some) for parent, some in rows.items()}


def as_account_list(
    principal: Principal, listed: InstallationList, window: Window[Keyset]
) -> tuple[UUID, InstallationList] | None:
    """Return the one account whose list this is, and the list of each account that is filtered alike.

    None where it is another list, or a page behind a cursor, which hardly anybody else reads at the same time. Raises
    Forbidden as `list_installations` does.
    """
    matching = visible_installations(principal, listed.matching)
    accounts = matching.account_ids
    at_start = window.after is None and window.before is None
    indexed = matching.search is None and matching.metadata is None and matching.authorization_expires_before is None
    if not (accounts and len(accounts) == 1 and listed.of is None and at_start and indexed and window.size):
        return None
    if matching.matches_nothing:
        return None
    [account_id] = accounts
    matching = replace(matching, account_ids=None)
    return account_id, InstallationList(of="account", matching=matching, order=listed.order)


async def count_installations_by_status(
    connection: Connection, principal: Principal, *, ids: Sequence[UUID | None], listed: InstallationList
) -> dict[UUID | None, dict[InstallationStatus, int]]:
    """Count the installations in each status in the list of each parent; a status without any is left out.

    Raises as list_installations does.
    """
    counts: dict[UUID | None, dict[InstallationStatus, int]] = {parent: {} for parent in ids}
    for parents, part in await _parts(connection, principal, ids=ids, listed=listed):
        for parent, some in (await count_installations(connection, parents=parents, listed=part)).items():
            for status, count in some.items():
                counts[parent][status] = counts[parent].get(status, 0) + count
    return counts


async def _parts(
    connection: Connection, principal: Principal, *, ids: Sequence[UUID | None], listed: InstallationList
) -> list[_Part]:
    """Return lists that have no installation in common, and together those of the list that the caller sees."""
    matching = visible_installations(principal, listed.matching)
    if listed.of is not None:
        field, parents = f"{listed.of}_ids", frozenset(ids)
        allowed = getattr(matching, field)
        narrowed: dict[str, Any] = {field: parents if allowed is None else parents & allowed}
        matching = replace(matching, **narrowed)
    filters = [matching]
    if matching.search is not None and not matching.matches_nothing:
        filters = await _by_name(connection, matching, search=matching.search)
    return [_part(listed, each) for each in filters if not each.matches_nothing]


def _part(listed: InstallationList, matching: InstallationFilter) -> _Part:
    if listed.of is None:
        return [None], replace(listed, matching=matching)
    field = f"{listed.of}_ids"
    return [*getattr(matching, field)], replace(listed, matching=replace(matching, **{field: None}))


async def _by_name(connection: Connection, matching: InstallationFilter, *, search: str) -> list[InstallationFilter]:
    """Return filters for the applications, and for the accounts of other applications, whose name contains the text."""
    within = {"application_ids": matching.application_ids, "account_ids": matching.account_ids}
    limit = MOST_FOUND_BY_NAME + 1
    applications = await select_ids_by_name(connection, "application", search=search, limit=limit, **within)
    accounts = await select_ids_by_name(connection, "account", search=search, limit=limit, **within)
    if limit in (len(applications), len(accounts)):
        raise BadUserInput(
            f"More than {MOST_FOUND_BY_NAME} applications or accounts have such a name. Search for more of it.",
            argument="search",
        )
    others = None if matching.application_ids is None else matching.application_ids - applications
    return [
        replace(matching, application_ids=applications),
        replace(
            matching,
            application_ids=others,
            account_ids=accounts,
            other_application_ids=applications if others is None else None,
        ),
    ]
