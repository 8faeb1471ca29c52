-- Ranges of the log by a code of the kind, which for a change of status has the status that it led to: a filter of these
-- statuses is read from the same indexes. With whole names the indexes would be larger. Generated, so that a gateway of
-- the previous version can write; and from the text, since `->>` refuses JSON that has U+0000 anywhere, as a message may.
-- `xid - 0`, so that nothing that belongs to an owner is looked for among the events of a code: the planner would expect it
-- to be frequent there.
drop index status_changes_in_order, events_of_installation, events_of_application, events_of_account,
    events_of_account_and_application;

alter table installation_events add column code text not null generated always as (
    case
        when kind = 'STATUS_CHANGED' then 'S' || coalesce(substring(change::text from '"after": ?"(..)'), '')
        else left(kind, 2)
    end
) stored;

create index events_by_code on installation_events (code, (xid - 0), id);
create index events_of_installation on installation_events (installation_id, code, (xid + 0), id);
create index events_of_application on installation_events (application_id, code, (xid + 0), id);
create index events_of_account on installation_events (account_id, code, (xid + 0), id);
create index events_of_account_and_application on installation_events (account_id, application_id, code, (xid + 0), id);

-- What times the events of each 4,096 places of the log have, so that a range of time is read from there. An event has
-- the time of the gateway that wrote it, so that the log is not exactly in the order of time.
create table event_spans (
    last_xid bigint not null,
    last_id bigint not null,
    oldest timestamptz not null,
    newest timestamptz not null,
    primary key (last_xid, last_id)
);
