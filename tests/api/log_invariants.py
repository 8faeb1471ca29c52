"""Invariants between the installations and the event log."""

import asyncpg

from gateway.storage.database import Connection

_BROKEN = """
with histories as (
    select
        installation_id,
        array_agg(version order by xid, id) = array_agg(number order by number) as gapless,
        max(version) as version,
        (array_agg(change ->> 'after' order by xid desc, id desc) filter (where kind = 'STATUS_CHANGED'))[1] as status,
        (array_agg(change ->> 'before' order by xid, id))[1] is null as begun
    from (
        select *, row_number() over (partition by installation_id order by xid, id)::integer as number
        from installation_events
    ) as numbered
    group by installation_id
)
select coalesce(i.id, h.installation_id)::text as installation, h.gapless, h.begun, h.version as logged_version,
    i.version, h.status as logged_status, i.status
from installations i
full join histories h on h.installation_id = i.id
where h.gapless is not true or h.begun is not true
    or (i.id is not null and h.version <> i.version)
    or h.status is distinct from i.status
"""
_TWICE = """
select application_id::text, account_id::text, count(*)
from installations
group by application_id, account_id
having count(*) > 1
"""


async def broken_histories(connection: Connection) -> list[asyncpg.Record]:
    """Return installations whose log has a gap or another version or status than their row, and duplicate pairs.

    The log of a deleted installation ends with its deletion, which has no status.
    """
    return [*await connection.fetch(_BROKEN), *await connection.fetch(_TWICE)]
