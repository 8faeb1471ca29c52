-- A gateway may serve as a role that does not own the tables: it appends to the log of events, and cannot change it.

-- Other roles have their rights from the owner's default privileges, which allow all that is asked of ordinary tables.
do $$
declare
    relation regclass;
    taken text;
    grantee text;
begin
    for relation, taken, grantee in
        select
            rights.relation, rights.taken,
            case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end
        from (
            values
                (to_regclass('installation_events'), 'update, delete, truncate'),
                (to_regclass('event_log'), 'insert, delete, truncate'),
                (to_regclass('schema_migrations'), 'insert, update, delete, truncate')
        ) as rights (relation, taken)
        join pg_class on pg_class.oid = rights.relation
        cross join lateral aclexplode(pg_class.relacl) as acl
        where acl.grantee <> pg_class.relowner
    loop
        execute format('revoke %s on %s from %s', taken, relation, grantee);
    end loop;
end
$$;

-- What a role other than the owner may not prune. A function, since only its owner can replace it.
create function least_retention() returns interval
language sql stable
as $$ select interval '30 days' $$;

-- Deletes the first events of the log as long as each is older than the given time, and stores how far.
-- Returns how many were deleted; none where another gateway is pruning.
-- It runs as the owner. For roles without the owner's rights least_retention holds, so that a gateway that was taken
-- over cannot delete its traces; a day is allowed for clocks that differ.
create function prune_installation_events(older_than timestamptz, most bigint) returns bigint
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
        where oldest.old and e.id = oldest.id
        returning e.xid, e.id
    ),
    marked as (
        update event_log
        set (pruned_xid, pruned_id) = (select xid, id from pruned order by xid desc, id desc limit 1)
        where exists (select from pruned)
    )
    select count(*) into removed from pruned;
    return removed;
end
$$;

revoke execute on function prune_installation_events from public;

-- Names in the function mean the gateway's tables, whatever the caller's search_path.
do $$
begin
    execute format(
        'alter function prune_installation_events set search_path = pg_catalog, %I, pg_temp', current_schema()
    );
end
$$;
