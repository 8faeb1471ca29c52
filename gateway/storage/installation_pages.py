"""Pages of installations: for one list, or for the same list of many parents, in one statement."""

import itertools
from collections.abc import Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

from asyncpg import Record

from gateway.domain.cursors import Keyset
from gateway.domain.installations import InstallationStatus, StatusReasonCode
from gateway.domain.pages import InstallationFilter, InstallationList, InstallationOrderField, OrderDirection, Window
from gateway.storage.database import METER, Connection
from gateway.storage.queries import Flags, given_flags, queries, window_flags

Parent = TypeVar("Parent", UUID, UUID | None)
_UNITS_BY_METADATA = 3
"""For each installation that a count finds by its metadata, whose text Postgres parses: 2.5 us for 500 bytes."""
_OWNERS = {"application", "account", "of_application", "of_account"}
"""The flags of lists that have one application or account each."""
Parts = frozenset[str]
"""The parts of a page's rows that are read beside the columns that all have."""
WHOLE: Final[Parts] = frozenset({"whole", "times"})
"""All of the installation's own columns."""
TIMES: Final[Parts] = frozenset({"times"})
"""All times but that of the creation: asyncpg takes 0.9 us to read one, and 0.1 for a short text (2026-11-26)."""
APPLICATION_NAMES: Final[Parts] = frozenset({"application_names"})
ACCOUNT_NAMES: Final[Parts] = frozenset({"account_names"})
"""What is shown mostly of the application and of the account."""


def _filter_flags(listed: InstallationList) -> Flags:
    matching = listed.matching
    flags = given_flags(
        _id_flag("application", matching.application_ids),
        _id_flag("account", matching.account_ids),
        ("other_applications", "other_application_ids", matching.other_application_ids),
        ("states", "states", _states(matching)),
        ("updated_since", "updated_since", matching.updated_since),
        ("updated_before", "updated_before", matching.updated_before),
        ("authorization_expires_before", "authorization_expires_before", matching.authorization_expires_before),
        ("metadata", "metadata", matching.metadata),
    )
    if listed.of is not None:
        flags[f"of_{listed.of}"] = {}
    return flags


def _id_flag(noun: str, ids: frozenset[UUID] | None) -> tuple[str, str, Any]:
    if ids is not None and len(ids) == 1:
        return noun, f"{noun}_id", next(iter(ids))
    return f"{noun}s", f"{noun}_ids", ids


def _states(matching: InstallationFilter) -> list[str] | None:
    """Return the allowed pairs of a status and a reason, as `state_of` names them in the indexes."""
    if matching.statuses is None and matching.reasons is None:
        return None
    statuses = InstallationStatus if matching.statuses is None else matching.statuses
    reasons = StatusReasonCode if matching.reasons is None else matching.reasons
    return [
        f"{status.value[:2]}{reason.value[0]}{reason.value[-4:]}"
        for status, reason in itertools.product(statuses, reasons)
    ]


def _needs_custom_plan(listed: InstallationList) -> bool:
    """Return whether a filter is by something that the list is not ordered by: its value decides on the best plan.

    Measured on 50,000 rows, where 50 contain an object: a plan for any object takes 130 ms by the list's order, and one
    for this object 5 ms by the index on metadata.
    """
    matching = listed.matching
    updated = (matching.updated_since, matching.updated_before) != (None, None)
    by_creation = listed.order.field is InstallationOrderField.CREATED_AT
    return (
        (updated and by_creation) or matching.metadata is not None or matching.authorization_expires_before is not None
    )


def _merge_flags(listed: InstallationList, flags: Flags) -> Flags:
    """Take from the flags those for which a page merges ranges of an index which is in the list's order.

    An account has one installation for each application at most: of an account no ranges are read, but all its rows.
    """
    if "accounts" in flags:
        return {"each_account": flags.pop("accounts")}
    if "account" in flags or listed.of == "account":
        return {}
    merged: Flags = {}
    if "applications" in flags:
        merged["each_application"] = flags.pop("applications")
    if "states" in flags:
        merged["each_state"] = flags.pop("states")
    return merged


async def select_installation_pages(
    connection: Connection,
    *,
    ids: Sequence[Parent],
    listed: InstallationList,
    window: Window[Keyset],
    parts: Parts,
) -> dict[Parent, list[Record]]:
    """Read, for each parent by its id, one row more than the window's size, in its direction.

    The list of all installations has one parent, None.

    `installation_of` makes an installation of a row that is WHOLE, `InstallationColumns` takes any row.
    """
    flags, custom = _filter_flags(listed), _needs_custom_plan(listed)
    column = "created" if listed.order.field is InstallationOrderField.CREATED_AT else "updated"
    placed = window_flags(window, descending=listed.order.direction is OrderDirection.DESC)
    if not custom and (merged := _merge_flags(listed, flags)):
        flags |= {**merged, "merged": {}, f"merged_{column}": {}, f"merged_{next(reversed(placed))}": {}}
    if column == "created" and "updated_before" in flags:
        flags["created_before"] = {}
    flags |= {f"{column}_{name}": values for name, values in placed.items()}
    flags |= {part: {} for part in (parts if column == "created" else parts | TIMES)}
    query, values = queries.with_flags("select_installation_page", flags)
    fetch = query.fetch_with_custom_plan if custom else query.fetch
    found: dict[Parent, list[Record]] = {parent: [] for parent in ids}
    for row in await fetch(connection, parents=list(ids), **values):
        found[ids[row["parent"] - 1]].append(row)
    return found


async def count_installations(
    connection: Connection, *, parents: Sequence[UUID | None], listed: InstallationList
) -> dict[UUID | None, dict[InstallationStatus, int]]:
    """Count, for each parent, the installations in each status; a status without any is left out."""
    flags = _filter_flags(listed)
    query, values = queries.with_flags("count_installations", flags)
    # A plan for any statuses reads all rows: 1.1 ms for one status of 2,000 installations instead of 0.25.
    fetch = query.fetch if flags.keys() <= _OWNERS else query.fetch_with_custom_plan
    counts: dict[UUID | None, dict[InstallationStatus, int]] = {parent: {} for parent in parents}
    for row in await fetch(connection, parents=list(parents), **values):
        counts[parents[row["parent"] - 1]][InstallationStatus(row["status"])] = row["count"]
    if listed.matching.metadata is not None and (meter := METER.get()) is not None:
        meter.units += _UNITS_BY_METADATA * sum(sum(by_status.values()) for by_status in counts.values())
    return counts
