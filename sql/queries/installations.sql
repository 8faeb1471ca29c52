-- name: select_installations_by_id
-- With `names` also those of the application and the account: their own statements would take a second round trip.
select
    i.id, i.application_id, i.account_id, i.status, i.reason_code, i.reason_message, i.reason_since, i.metadata,
    i.version, i.sync_state, i.sync_started_at, i.sync_finished_at, i.sync_expires_at, i.sync_lease_seconds,
    i.sync_steps, i.sync_message, i.connection_failures, i.authorization_expires_at, i.created_at, i.updated_at,
    i.activated_at
    , application.name as application_name, application.slug as application_slug, account.name as account_name --? names
from installations i
join applications application on application.id = i.application_id --? names
join accounts account on account.id = i.account_id --? names
where i.id = any(array(select unnest(:ids::uuid[])));

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

-- name: update_installations_with_events
-- Stores rows and their events, and returns the ids of the rows. A row that another transaction has locked, or has
-- changed since it was read, is left out with its events: every change but a renewed lease has another version.
-- The transaction id is assigned here, after the read of the rows: no event that is committed later has a smaller one.
-- Columns that no row changes are left out: a third of the work besides the indexes is reading the parameters.
-- Arrays of ids, numbers and times are given as text, which the gateway writes faster.
with own as materialized (
    select pg_current_xact_id()::text::bigint + xid_offset as xid from event_log
), locked as materialized (
    select given.*, unchanged.place
    from unnest(
        :id::text::uuid[], :read_version::text::integer[], :read_lease::text::timestamptz[], :version::text::integer[]
        , :metadata::json[] --? metadata
        , :status::text[], :reason_code::text[], :reason_message::text[], :reason_since::timestamptz[] --? state
        , :connection_failures::integer[], :authorization_expires_at::timestamptz[], :activated_at::timestamptz[] --? state
        , :sync_state::text[], :sync_started_at::timestamptz[], :sync_finished_at::timestamptz[] --? sync
        , :sync_expires_at::timestamptz[], :sync_lease_seconds::integer[], :sync_steps::json[], :sync_message::text[] --? sync
        , :updated_at::text::timestamptz[]
    ) as given (
        id, read_version, read_lease, version
        , metadata --? metadata
        , status, reason_code, reason_message, reason_since --? state
        , connection_failures, authorization_expires_at, activated_at --? state
        , sync_state, sync_started_at, sync_finished_at --? sync
        , sync_expires_at, sync_lease_seconds, sync_steps, sync_message --? sync
        , updated_at
    )
    cross join lateral (
        select i.ctid as place
        from installations i
        where i.id = given.id and i.version = given.read_version
            and i.sync_expires_at is not distinct from given.read_lease
        for update skip locked
    ) as unchanged
), stored as (
    update installations i
    set version = locked.version
        , metadata = coalesce(locked.metadata, i.metadata) --? metadata
        , status = locked.status, reason_code = locked.reason_code, reason_message = locked.reason_message --? state
        , reason_since = locked.reason_since, connection_failures = locked.connection_failures --? state
        , authorization_expires_at = locked.authorization_expires_at, activated_at = locked.activated_at --? state
        , sync_state = locked.sync_state, sync_started_at = locked.sync_started_at --? sync
        , sync_finished_at = locked.sync_finished_at, sync_expires_at = locked.sync_expires_at --? sync
        , sync_lease_seconds = locked.sync_lease_seconds, sync_steps = locked.sync_steps --? sync
        , sync_message = locked.sync_message --? sync
        , updated_at = locked.updated_at
    from locked
    where i.ctid = locked.place
    returning i.id, i.application_id, i.account_id
), appended as (
    insert into installation_events (
        xid, occurred_at, actor_kind, actor_id, actor_label, installation_id, application_id, account_id, version, kind,
        change
    )
    select
        own.xid, :occurred_at, (:actor_kind::text[])[event.actor], (:actor_id::text[])[event.actor],
        (:actor_label::text[])[event.actor], stored.id, stored.application_id, stored.account_id, event.version,
        event.kind, event.change
    from own
    cross join unnest(
        :event_installation_id::text::uuid[], :event_version::text::integer[], :event_kind::text::text[],
        :event_change::json[], :event_actor::text::integer[]
    ) with ordinality as event (installation_id, version, kind, change, actor, place)
    join stored on stored.id = event.installation_id
    order by event.place
)
select id from stored;

-- name: delete_installation!
delete from installations where id = :id;

-- name: select_installation_page
-- For each parent the first rows of one page in one direction; the list of all installations has one parent, null.
-- With `merged`, the page is found among the first rows of each application, account, or state (a status and a reason),
-- which an index has in the list's order; `limit 1` makes the planner read the page's rows by their ids.
-- Nothing is created after it is updated, so that with `created_before` an order by creation ends there.
-- Without `whole` it has only columns that fields are, without `times` none of those that are shown rarely.
select
    parent.number as parent,
    page.reason_code, page.reason_message, page.reason_since, page.metadata, --? whole
    page.sync_state, page.sync_started_at, page.sync_finished_at, page.sync_expires_at, --? whole
    page.sync_lease_seconds, page.sync_steps, page.sync_message, --? whole
    page.authorization_expires_at, page.updated_at, page.activated_at, --? times
    application.name as application_name, application.slug as application_slug, --? application_names
    account.name as account_name, --? account_names
    page.id, page.application_id, page.account_id, page.status, page.version, page.connection_failures, page.created_at
from unnest(:parents::uuid[]) with ordinality as parent (id, number)
cross join lateral (
    select i.*
    from ( --? merged
        select range.id --? merged
        from (select) as one --? merged
        cross join unnest(:application_ids::uuid[]) as application (id) --? each_application
        cross join unnest(:account_ids::uuid[]) as account (id) --? each_account
        cross join unnest(:states::text[]) as state (code) --? each_state
        cross join lateral ( --? merged
    select i.id, i.created_at as place --? merged_created
    select i.id, i.updated_at as place --? merged_updated
    from installations i
    where true
        and i.application_id = application.id --? each_application
        and i.account_id = account.id --? each_account
        and state_of(i.status, i.reason_code) = state.code --? each_state
        and i.application_id = parent.id --? of_application
        and i.account_id = parent.id --? of_account
        and i.application_id = :application_id --? application
        and i.account_id = :account_id --? account
        and i.application_id = any(:application_ids::uuid[]) --? applications
        and i.account_id = any(:account_ids::uuid[]) --? accounts
        and i.application_id <> all(:other_application_ids::uuid[]) --? other_applications
        and state_of(i.status, i.reason_code) = any(:states::text[]) --? states
        and i.updated_at >= :updated_since --? updated_since
        and i.updated_at < :updated_before --? updated_before
        and i.created_at < :updated_before --? created_before
        and i.authorization_expires_at < :authorization_expires_before --? authorization_expires_before
        and i.metadata::jsonb @> :metadata::text::jsonb --? metadata
        and (i.created_at, i.id) > (:above_value, :above_id) --? created_above
        and (i.created_at, i.id) < (:below_value, :below_id) --? created_below
        and (i.updated_at, i.id) > (:above_value, :above_id) --? updated_above
        and (i.updated_at, i.id) < (:below_value, :below_id) --? updated_below
    order by i.created_at, i.id --? created_ascending
    order by i.created_at desc, i.id desc --? created_descending
    order by i.updated_at, i.id --? updated_ascending
    order by i.updated_at desc, i.id desc --? updated_descending
    limit :limit
        ) as range --? merged
        order by range.place, range.id --? merged_ascending
        order by range.place desc, range.id desc --? merged_descending
        limit :limit --? merged
    ) as found --? merged
    cross join lateral (select * from installations i where i.id = found.id limit 1) as i --? merged
) as page
join applications application on application.id = page.application_id --? application_names
join accounts account on account.id = page.account_id --? account_names
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
        and i.application_id = any(:application_ids::uuid[]) --? applications
        and i.account_id = any(:account_ids::uuid[]) --? accounts
        and i.application_id <> all(:other_application_ids::uuid[]) --? other_applications
        and state_of(i.status, i.reason_code) = any(:states::text[]) --? states
        and i.updated_at >= :updated_since --? updated_since
        and i.updated_at < :updated_before --? updated_before
        and i.authorization_expires_at < :authorization_expires_before --? authorization_expires_before
        and i.metadata::jsonb @> :metadata::text::jsonb --? metadata
    group by i.status
) as counted
order by parent.number, counted.status;
