-- name: insert_event
-- Inserts and returns nothing where the log has an event of this application and account with a greater transaction
-- id: a transaction that waits for a lock behind several others may be assigned its id before its last wait is over.
-- The offset keeps the order after a dump was restored; see event_log.
-- The last event of each code is looked up, not `exists` with a greater id: that is planned as a scan of the whole log
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
    from unnest(array['S', 'SAU', 'SAC', 'SIN', 'SPE', 'ME', 'SY', 'CO', 'AU']) as kinds (code)
    cross join lateral (
        select e.xid + 0 as place
        from installation_events e
        where e.account_id = :account_id and e.application_id = :application_id and e.code = kinds.code
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

-- name: select_events
-- The events at these positions, below the horizon, with the log's epoch.
select
    log.epoch, e.xid, e.id, e.occurred_at, e.actor_kind, e.actor_id, e.actor_label, e.installation_id,
    e.application_id, e.account_id, e.version, e.kind, e.change
from event_log as log
cross join unnest(:xids::bigint[], :ids::bigint[]) as given (xid, id)
join installation_events e on e.xid = given.xid and e.id = given.id
where e.xid < log.xid_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- name: select_event_page
-- For each parent the first events of one page in one direction, below the horizon: no running transaction can insert
-- before them. A list of all installations has one parent, null. Each parent has at least one row, so that the state of
-- the log in the same snapshot is always returned.
-- A page merges the first events of each range: of each stretch of the log, and with `by_code` of each code and of each
-- installation, application, account, or pair of these, from an index of these. Without it the log's own index is read.
-- All events of an installation are of one application and one account, so that these are compared once, and not with
-- each event; in the order of its index, since an installation without events would be looked for in the whole log.
-- The horizon is part of the one upper bound: with two, Postgres starts a backward scan at either of them.
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
    from (
        select low_xid, low_id, least(array[high_xid, high_id], array[log.horizon, 0]) as high
        from unnest(:low_xids::bigint[], :low_ids::bigint[], :high_xids::bigint[], :high_ids::bigint[])
            as given (low_xid, low_id, high_xid, high_id)
    ) as stretch
    cross join unnest(:codes::text[]) as asked (code) --? by_code
    cross join (
        select coalesce(parent.id, given.id) as id from unnest(:installation_ids::uuid[]) as given (id)
    ) as installation
    cross join unnest(:application_ids::uuid[]) as application (id) --? applications
    cross join unnest(:account_ids::uuid[]) as account (id) --? accounts
    cross join lateral (
        select *
        from (
            select *, xid
                + 0 --? owned
                - 0 --? unowned
                as place
            from installation_events
        ) as e
        where (e.place, e.id) > (stretch.low_xid, stretch.low_id)
            and (e.place, e.id) < (stretch.high[1], stretch.high[2])
            and e.code = asked.code --? by_code
            and e.installation_id = installation.id --? installations
            and e.application_id = application.id --? applications
            and e.account_id = account.id --? accounts
            and ( --? wanted
                e.installation_id = any(:wanted_installation_ids::uuid[]) --? wanted
                or e.account_id = any(:wanted_account_ids::uuid[]) --? wanted
                or e.application_id = any(:wanted_application_ids::uuid[]) --? wanted
            ) --? wanted
            and e.occurred_at >= :occurred_since --? since
            and e.occurred_at < :occurred_before --? until
        order by e.place, e.id --? forward
        order by e.place desc, e.id desc --? backward
        limit :limit
    ) as page
    where true
        and ( --? owner_applications
            select e.application_id from installation_events e where e.installation_id = installation.id order by e.code, e.xid + 0, e.id limit 1 --? owner_applications
        ) = any(:owner_application_ids::uuid[]) --? owner_applications
        and ( --? owner_accounts
            select e.account_id from installation_events e where e.installation_id = installation.id order by e.code, e.xid + 0, e.id limit 1 --? owner_accounts
        ) = any(:owner_account_ids::uuid[]) --? owner_accounts
    order by page.place, page.id --? forward
    order by page.place desc, page.id desc --? backward
    limit :limit
) as event on true
order by parent.number
    , event.xid, event.id --? forward
    , event.xid desc, event.id desc --? backward
;

-- name: select_event_stretches
-- The stretches of the log that may have events of a time: consecutive spans with such events are one, and the last
-- stretch is what has no span yet. Each begins after one position and ends with another, the last one with the log.
select min(array[after_xid, after_id]) as low, max(array[last_xid, last_id]) as high
from (
    select *, count(*) filter (where not matches) over (order by last_xid, last_id) as stretch
    from (
        select
            last_xid, last_id,
            lag(last_xid, 1, 0::bigint) over in_order as after_xid, lag(last_id, 1, 0::bigint) over in_order as after_id,
            newest >= coalesce(:occurred_since::timestamptz, newest) and oldest < coalesce(:occurred_before::timestamptz, 'infinity') as matches
        from event_spans
        window in_order as (order by last_xid, last_id)
    ) as span
) as numbered
where matches
group by stretch
union all
select coalesce((select array[last_xid, last_id] from event_spans order by last_xid desc, last_id desc limit 1), '{0,0}'), null;

-- name: insert_event_span
-- Stores the times of the next events of the log, if there are so many, and returns the position of the last one.
-- Several gateways may store the same span. Those of pruned events are removed.
with removed as (
    delete from event_spans using event_log where (last_xid, last_id) <= (pruned_xid, pruned_id)
)
insert into event_spans (last_xid, last_id, oldest, newest)
select (max(array[xid, id]))[1], (max(array[xid, id]))[2], min(occurred_at), max(occurred_at)
from (
    select e.xid, e.id, e.occurred_at
    from (
        select
            xid_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon,
            coalesce((select max(array[last_xid, last_id]) from event_spans), '{0,0}') as edge
        from event_log
    ) as log
    cross join lateral (
        select xid, id, occurred_at
        from installation_events
        where (xid, id) > (log.edge[1], log.edge[2]) and xid < log.horizon
        order by xid, id
        limit :events
    ) as e
) as next
having count(*) = :events
on conflict do nothing
returning last_id;

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
