-- name: insert_event
-- Inserts and returns nothing where the log has an event of this application and account with a greater transaction
-- id: a transaction that waits for a lock behind several others may be assigned its id before its last wait is over.
-- The offset keeps the order after a dump was restored; see event_log.
-- The last event of each kind is looked up, not `exists` with a greater id: that is planned as a scan of the whole log
-- where most of it is of this application and account.
with own as materialized (
    select pg_current_xact_id()::text::bigint + xid_offset as xid from event_log
)
insert into installation_events (
    xid, occurred_at, actor_kind, actor_id, actor_label, installation_id, application_id, account_id, version, kind, change
)
select
    own.xid, :occurred_at, :actor_kind, :actor_id, :actor_label, :installation_id, :application_id, :account_id,
    :version, :kind, :change
from own
where own.xid >= (
    select coalesce(max(newest.place), 0)
    from unnest(array['ST', 'ME', 'SY', 'CO', 'AU']) as kinds (prefix)
    cross join lateral (
        select e.xid + 0 as place
        from installation_events e
        where e.account_id = :account_id and e.application_id = :application_id and left(e.kind, 2) = kinds.prefix
        order by e.xid + 0 desc, e.id desc
        limit 1
    ) as newest
)
returning id;

-- name: select_installations_in_log
-- Which of these have events, including events above the horizon.
select asked.id
from unnest(:ids::uuid[]) as asked (id)
where exists (select from installation_events e where e.installation_id = asked.id);

-- name: select_event_page
-- For each parent the first events of one page in one direction, below the horizon: no running transaction can insert
-- before them. A list of all installations has one parent, null. Each parent has at least one row, so that the state of
-- the log in the same snapshot is always returned.
-- `by_kind` reads the first events of each kind, of an installation, an application or an account, from an index of
-- these, and returns the first of them all; without it the log's own index is read. All events of an installation are of
-- one application and one account, so that these are compared once, and not with each event.
select
    parent.number as parent,
    log.epoch, log.pruned_xid, log.pruned_id, log.pruned_at, log.horizon, log.next_xid, log.server,
    coalesce(latest.xid, log.pruned_xid) as latest_xid, coalesce(latest.id, log.pruned_id) as latest_id,
    coalesce(latest.occurred_at, log.pruned_at) as latest_at,
    exists ( --? after
        select from installation_events --? after
        where xid = :after_xid and id = :after_id and occurred_at = coalesce(:after_at::timestamptz, occurred_at) --? after
    ) as after_found, --? after
    exists ( --? before
        select from installation_events --? before
        where xid = :before_xid and id = :before_id and occurred_at = coalesce(:before_at::timestamptz, occurred_at) --? before
    ) as before_found, --? before
    coalesce((select max(xid) from installation_events), 0) >= log.horizon as waiting,
    event.xid, event.id, event.occurred_at, event.actor_kind, event.actor_id, event.actor_label,
    event.installation_id, event.application_id, event.account_id, event.version, event.kind, event.change
from (
    select
        epoch, pruned_xid, pruned_id, pruned_at, pg_postmaster_start_time() as server,
        xid_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon,
        xid_offset + pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_xid
    from event_log
) as log
left join lateral (
    select e.xid, e.id, e.occurred_at
    from installation_events e
    where e.xid < log.horizon
    order by e.xid desc, e.id desc
    limit 1
) as latest on true
cross join unnest(:parents::uuid[]) with ordinality as parent (id, number)
left join lateral (
    select page.*
    from unnest(:kinds::text[]) as asked (kind)
    cross join lateral (
        select *
        from (
            select *, xid
                + 0 --? by_kind
                as place
            from installation_events
        ) as e
        where e.place < log.horizon
            and left(e.kind, 2) = left(asked.kind, 2) --? by_kind
            and left(e.kind, 2) = 'ST' --? status_changes
            and e.installation_id = parent.id --? of_installation
            and e.installation_id = :installation_id --? installation
            and e.application_id = :application_id --? application
            and e.account_id = :account_id --? account
            and :owner_application_id = ( --? owner_application
                select application_id from installation_events where installation_id = :installation_id limit 1 --? owner_application
            ) --? owner_application
            and :owner_account_id = ( --? owner_account
                select account_id from installation_events where installation_id = :installation_id limit 1 --? owner_account
            ) --? owner_account
            and ( --? wanted
                e.installation_id = any(:wanted_installation_ids::uuid[]) --? wanted
                or e.account_id = any(:wanted_account_ids::uuid[]) --? wanted
                or e.application_id = any(:wanted_application_ids::uuid[]) --? wanted
            ) --? wanted
            and (e.place, e.id) > (:after_xid, :after_id) --? after
            and (e.place, e.id) < (:before_xid, :before_id) --? before
        order by e.place, e.id --? forward
        order by e.place desc, e.id desc --? backward
        limit :limit
    ) as page
    order by page.place, page.id --? forward
    order by page.place desc, page.id desc --? backward
    limit :limit
) as event on true
order by parent.number
    , event.xid, event.id --? forward
    , event.xid desc, event.id desc --? backward
;

-- name: select_event_log
-- The end of the log, and the committed events after it, which wait for running transactions; at most so many.
select
    log.epoch, log.horizon, log.next_xid, log.server,
    coalesce(latest.xid, log.pruned_xid) as latest_xid, coalesce(latest.id, log.pruned_id) as latest_id,
    coalesce(latest.occurred_at, log.pruned_at) as latest_at,
    waiting.xids, waiting.ids, waiting.times
from (
    select
        epoch, pruned_xid, pruned_id, pruned_at, pg_postmaster_start_time() as server,
        xid_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon,
        xid_offset + pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_xid
    from event_log
) as log
left join lateral (
    select e.xid, e.id, e.occurred_at
    from installation_events e
    where e.xid < log.horizon
    order by e.xid desc, e.id desc
    limit 1
) as latest on true
cross join lateral (
    select
        coalesce(array_agg(e.xid), '{}') as xids, coalesce(array_agg(e.id), '{}') as ids,
        coalesce(array_agg(e.occurred_at), '{}') as times
    from (
        select first.xid, first.id, first.occurred_at
        from installation_events first
        where first.xid >= log.horizon
        order by first.xid, first.id
        limit :most
    ) as e
) as waiting;

-- name: update_event_log_epoch!
-- A log that was written in another cluster, or that is ahead of this cluster's transaction ids, gets a new epoch.
-- A second gateway that starts at the same time waits for the row's lock here, and then updates nothing.
update event_log
set epoch = :epoch,
    system_identifier = control.system_identifier,
    xid_offset = greatest(pruned_xid, (select max(xid) from installation_events))
from pg_control_system() as control
where event_log.system_identifier <> control.system_identifier
    or greatest(pruned_xid, (select max(xid) from installation_events))
        >= xid_offset + pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- name: prune_events
-- A function, since a serving role that does not own the log may not delete from it.
select prune_installation_events(:older_than, :limit);

-- name: notify_events!
-- Never inside a write: a notification takes a lock on the whole database until its transaction is done.
notify installation_events;
