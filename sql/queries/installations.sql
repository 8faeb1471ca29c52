-- name: select_installations_by_id
select
    id, application_id, account_id, status, reason_code, reason_message, reason_since, metadata, version,
    sync_state, sync_started_at, sync_finished_at, sync_expires_at, sync_lease_seconds, sync_steps, sync_message,
    connection_failures, authorization_expires_at, created_at, updated_at, activated_at
from installations
where id = any(:ids::uuid[]);

-- name: select_installations_by_pair
-- The installations of these pairs (application, account).
select
    id, application_id, account_id, status, reason_code, reason_message, reason_since, metadata, version,
    sync_state, sync_started_at, sync_finished_at, sync_expires_at, sync_lease_seconds, sync_steps, sync_message,
    connection_failures, authorization_expires_at, created_at, updated_at, activated_at
from installations
where (application_id, account_id) in (select * from unnest(:application_ids::uuid[], :account_ids::uuid[]));

-- name: lock_installation
-- The lock comes first in its transaction: the transaction id is assigned after the wait for it, so that the events of
-- one installation stand in the log in the order of their versions.
select
    id, application_id, account_id, status, reason_code, reason_message, reason_since, metadata, version,
    sync_state, sync_started_at, sync_finished_at, sync_expires_at, sync_lease_seconds, sync_steps, sync_message,
    connection_failures, authorization_expires_at, created_at, updated_at, activated_at
from installations
where id = :id
for update;

-- name: lock_installation_by_pair
select
    id, application_id, account_id, status, reason_code, reason_message, reason_since, metadata, version,
    sync_state, sync_started_at, sync_finished_at, sync_expires_at, sync_lease_seconds, sync_steps, sync_message,
    connection_failures, authorization_expires_at, created_at, updated_at, activated_at
from installations
where application_id = :application_id and account_id = :account_id
for update;

-- name: lock_due_installations
-- Installations whose authorization or lease has expired; rows that another gateway has locked are skipped.
-- Two selects, so that each uses its own index: with one condition for both, a generic plan reads the whole table.
-- More candidates are selected than one batch locks, so that several gateways find work at the same time.
-- The version is compared because the first lock assigns this transaction's id: a row that was changed since the
-- statement began may have an event with a greater id, and an event written now would precede it in the log.
with due as materialized (
    (
        select id, version
        from installations
        where authorization_expires_at <= :now and authorization_expires_at is not null and status <> 'INACTIVE'
        order by authorization_expires_at
        limit 1000
    )
    union
    (
        select id, version
        from installations
        where sync_expires_at <= :now and status = 'PENDING_INTEGRATION'
        order by sync_expires_at
        limit 1000
    )
)
select
    i.id, i.application_id, i.account_id, i.status, i.reason_code, i.reason_message, i.reason_since, i.metadata,
    i.version, i.sync_state, i.sync_started_at, i.sync_finished_at, i.sync_expires_at, i.sync_lease_seconds,
    i.sync_steps, i.sync_message, i.connection_failures, i.authorization_expires_at, i.created_at, i.updated_at,
    i.activated_at
from due
join installations i on i.id = due.id and i.version = due.version
limit :limit
for update of i skip locked;

-- name: insert_installation
-- Returns no row where the application is already installed for the account.
insert into installations (
    id, application_id, account_id, status, reason_code, reason_message, reason_since, metadata, version,
    sync_state, sync_started_at, sync_finished_at, sync_expires_at, sync_lease_seconds, sync_steps, sync_message,
    connection_failures, authorization_expires_at, created_at, updated_at, activated_at
)
values (
    :id, :application_id, :account_id, :status, :reason_code, :reason_message, :reason_since, :metadata, :version,
    :sync_state, :sync_started_at, :sync_finished_at, :sync_expires_at, :sync_lease_seconds, :sync_steps, :sync_message,
    :connection_failures, :authorization_expires_at, :created_at, :updated_at, :activated_at
)
on conflict (application_id, account_id) do nothing
returning true;

-- name: update_installation!
update installations
set status = :status, reason_code = :reason_code, reason_message = :reason_message, reason_since = :reason_since,
    metadata = :metadata, version = :version, sync_state = :sync_state, sync_started_at = :sync_started_at,
    sync_finished_at = :sync_finished_at, sync_expires_at = :sync_expires_at, sync_lease_seconds = :sync_lease_seconds,
    sync_steps = :sync_steps, sync_message = :sync_message, connection_failures = :connection_failures,
    authorization_expires_at = :authorization_expires_at, updated_at = :updated_at, activated_at = :activated_at
where id = :id;

-- name: delete_installation!
delete from installations where id = :id;

-- name: select_installation_page
-- For each parent the first rows of one page in one direction; the list of all installations has one parent, null.
select
    parent.number as parent,
    page.id, page.application_id, page.account_id, page.status, page.reason_code, page.reason_message, page.reason_since,
    page.metadata, page.version,
    page.sync_state, page.sync_started_at, page.sync_finished_at, page.sync_expires_at,
    page.sync_lease_seconds, page.sync_steps, page.sync_message,
    page.connection_failures, page.authorization_expires_at, page.created_at, page.updated_at, page.activated_at
from unnest(:parents::uuid[]) with ordinality as parent (id, number)
cross join lateral (
    select i.*
    from installations i
    where true
        and i.application_id = parent.id --? of_application
        and i.account_id = parent.id --? of_account
        and i.application_id = :application_id --? application
        and i.account_id = :account_id --? account
        and i.status = any(:status::text[]) --? status
        and i.updated_at >= :updated_since --? updated_since
        and i.metadata::jsonb @> :metadata::text::jsonb --? metadata
        and (i.created_at, i.id) > (:above_time, :above_id) --? created_above
        and (i.created_at, i.id) < (:below_time, :below_id) --? created_below
        and (i.updated_at, i.id) > (:above_time, :above_id) --? updated_above
        and (i.updated_at, i.id) < (:below_time, :below_id) --? updated_below
    order by i.created_at, i.id --? created_ascending
    order by i.created_at desc, i.id desc --? created_descending
    order by i.updated_at, i.id --? updated_ascending
    order by i.updated_at desc, i.id desc --? updated_descending
    limit :limit
) as page
order by parent.number
    , page.created_at, page.id --? created_ascending
    , page.created_at desc, page.id desc --? created_descending
    , page.updated_at, page.id --? updated_ascending
    , page.updated_at desc, page.id desc --? updated_descending
;

-- name: count_installations
-- For each parent, how many installations there are in each status.
select parent.number as parent, counted.status, counted.count
from unnest(:parents::uuid[]) with ordinality as parent (id, number)
cross join lateral (
    select i.status, count(*) as count
    from installations i
    where true
        and i.application_id = parent.id --? of_application
        and i.account_id = parent.id --? of_account
        and i.application_id = :application_id --? application
        and i.account_id = :account_id --? account
        and i.status = any(:status::text[]) --? status
        and i.updated_at >= :updated_since --? updated_since
        and i.metadata::jsonb @> :metadata::text::jsonb --? metadata
    group by i.status
) as counted
order by parent.number, counted.status;
