-- Events that a caller does not see or has not asked for cost nothing: each kind is one range of an index, in order, and
-- a page merges the ranges of its kinds. Two letters tell the kinds apart: with the whole name the indexes would be a
-- fifth larger. `xid + 0` keeps the planner from the primary key, which has the same order: it would read past every
-- event of other accounts and kinds where one account has most of the log.
alter table installation_events drop constraint installation_events_pkey;
drop index events_in_order, events_of_installation_in_order, events_of_application_in_order, events_of_account_in_order;

-- The log's own order is the primary key: nothing looks an event up by its number alone.
create unique index events_in_order on installation_events (xid, id);
alter table installation_events add constraint events_in_order primary key using index events_in_order;
create index status_changes_in_order on installation_events (xid, id) where left(kind, 2) = 'ST';
create index events_of_installation on installation_events (installation_id, left(kind, 2), (xid + 0), id);
create index events_of_application on installation_events (application_id, left(kind, 2), (xid + 0), id);
create index events_of_account on installation_events (account_id, left(kind, 2), (xid + 0), id);
create index events_of_account_and_application
    on installation_events (account_id, application_id, left(kind, 2), (xid + 0), id);

-- Pruning finds its events by the new key, and stores when the last one occurred, which tells it from an event of
-- another timeline that has the same position. Otherwise the function is as it was.
alter table event_log add column pruned_at timestamptz;

create or replace function prune_installation_events(older_than timestamptz, most bigint) returns bigint
language plpgsql
security definer
as $$
declare
    youngest constant timestamptz := now() - least_retention();
    removed bigint;
begin
    if not pg_has_role(session_user, current_user, 'usage') then
        if older_than > youngest + interval '1 day' then
            raise insufficient_privilege using message = format(
                'Only the owner of the tables may remove events of the last %s.', least_retention()
            );
        end if;
        older_than := least(older_than, youngest);
    end if;
    with log as materialized (
        select xid_offset + pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon
        from event_log
        for update skip locked
    ),
    oldest as (
        select first.xid, first.id, bool_and(first.occurred_at < older_than) over (order by first.xid, first.id) as old
        from log
        cross join lateral (
            select e.xid, e.id, e.occurred_at
            from installation_events e
            where e.xid < log.horizon
            order by e.xid, e.id
            limit most
        ) as first
    ),
    pruned as (
        delete from installation_events e
        using oldest
        where oldest.old and e.xid = oldest.xid and e.id = oldest.id
        returning e.xid, e.id, e.occurred_at
    ),
    marked as (
        update event_log
        set (pruned_xid, pruned_id, pruned_at) = (
            select xid, id, occurred_at from pruned order by xid desc, id desc limit 1
        )
        where exists (select from pruned)
    )
    select count(*) into removed from pruned;
    return removed;
end
$$;

-- Names in the function mean the gateway's tables, whatever the caller's search_path.
do $$
begin
    execute format(
        'alter function prune_installation_events set search_path = pg_catalog, %I, pg_temp', current_schema()
    );
end
$$;
