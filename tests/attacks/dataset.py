"""Rows for the attacks: 100 applications, each installed for 100 accounts; one account sees few of its events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import asyncpg

from gateway.domain.principals import Principal, PrincipalKind
from gateway.storage.database import DriverConnection, open_database
from gateway.storage.migrations import migrate
from gateway.usecases.api_keys import issue_key
from gateway.usecases.services import Services
from tests.conftest import connected

PLATFORM = Principal(kind=PrincipalKind.PLATFORM, label="tests")
COUNT = 100
LARGE_METADATA = 90
"""From this number on, the metadata of an application's installations is as large as it may be."""
HIDDEN_EVENTS = 100_000
"""With so many events that it does not see begins the last account's log."""
_STATEMENTS = f"""  -- without cleaning up later, which would count as an attack's work
alter system set autovacuum = off;
select pg_reload_conf();
insert into applications
select md5('application' || n)::uuid, 'application-' || n, 'Application ' || n, 'About it.', '{{accounting}}', null,
    'OAUTH', false, true, now() - interval '1 day', now() - interval '1 day'
from generate_series(0, {COUNT - 1}) as n;
insert into accounts select md5('account' || n)::uuid, 'Account ' || n from generate_series(0, {COUNT - 1}) as n;
insert into installations (
    id, application_id, account_id, status, reason_code, reason_since, metadata, version, sync_state, sync_started_at,
    sync_finished_at, sync_lease_seconds, sync_steps, connection_failures, created_at, updated_at, activated_at
)
select md5(application || ' for ' || account)::uuid, md5('application' || application)::uuid,
    md5('account' || account)::uuid, 'ACTIVATED', 'SYNC_SUCCEEDED', now(),
    json_build_object('number', application, 'text', repeat('x', case when application < {LARGE_METADATA}
        then 10 else 16000 end)),
    3, 'SUCCEEDED', now(), now(), 300,
    (select json_agg(json_build_object('name', 'step ' || step, 'done', step, 'total', 20))
     from generate_series(1, 20) as step),
    0, now() - interval '1 hour', now() - make_interval(secs => application), now()
from generate_series(0, {COUNT - 1}) as application, generate_series(0, {COUNT - 1}) as account;
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select pg_current_xact_id()::text::bigint, now(), 'APPLICATION', installation.id, application_id, account_id, 1,
    'METADATA_UPDATED', '{{"changed_keys": ["number"]}}'
from generate_series(1, {HIDDEN_EVENTS}), installations as installation
where application_id = md5('application0')::uuid and account_id = md5('account{COUNT - 1}')::uuid;
insert into installation_events (
    xid, occurred_at, actor_kind, installation_id, application_id, account_id, version, kind, change
)
select pg_current_xact_id()::text::bigint, now(), 'APPLICATION', id, application_id, account_id, event.version,
    'STATUS_CHANGED', event.change::json
from installations, (values
    (2, '{{"before": null, "after": "AUTHORIZED", "reason": "AUTHORIZATION_COMPLETED", "message": null}}'),
    (3, '{{"before": "AUTHORIZED", "after": "ACTIVATED", "reason": "CONFIGURATION_COMPLETED", "message": null}}')
) as event (version, change);
vacuum analyze;
checkpoint
"""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The ids of the rows by their numbers."""

    services: Services
    applications: list[UUID]
    accounts: list[UUID]

    async def key(
        self, kind: PrincipalKind, *, application_id: UUID | None = None, account_id: UUID | None = None
    ) -> str:
        issue = partial(issue_key, self.services, PLATFORM, label="tests", expires_at=None)
        return (await issue(kind=kind, application_id=application_id, account_id=account_id)).secret


@asynccontextmanager
async def filled(database_url: str) -> AsyncIterator[Dataset]:
    """Migrate and fill an empty database."""
    await migrate(database_url)
    async with connected(database_url) as server:
        for statement in _STATEMENTS.split(";\n"):
            await server.execute(statement)
        applications, accounts = await _ids(server, "application"), await _ids(server, "account")
    async with open_database(database_url, pool_size=2) as database:
        services = Services(database=database, notify=lambda: None)
        yield Dataset(services=services, applications=applications, accounts=accounts)


async def _ids(server: DriverConnection, what: str) -> list[UUID]:
    query = f"select md5($1::text || n)::uuid as id from generate_series(0, {COUNT - 1}) as n order by n"
    rows: list[asyncpg.Record] = await server.fetch(query, what)
    return [row["id"] for row in rows]
