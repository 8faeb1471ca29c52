-- Applications, accounts, the installations between them, the log of what happened to these, and the keys of callers.

create table applications (
    id uuid primary key,
    slug text not null constraint application_slug_is_unique unique,
    name text not null,
    description text not null,
    categories text[] not null,
    logo_url text,
    authorization_method text not null
        constraint authorization_method_is_known check (authorization_method in ('OAUTH', 'API_KEY')),
    requires_configuration boolean not null,
    listed boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create index applications_by_name on applications (name, id);

create table accounts (
    id uuid primary key,
    name text not null
);

-- Metadata is json, not jsonb: what an application stored comes back as it was, key order, -0.0 and 1e2 included.
create table installations (
    id uuid primary key,
    application_id uuid not null constraint installation_has_an_application references applications,
    account_id uuid not null constraint installation_has_an_account references accounts,
    status text not null
        constraint status_is_known check (status in ('AUTHORIZED', 'ACTIVATED', 'INACTIVE', 'PENDING_INTEGRATION')),
    reason_code text not null,
    reason_message text,
    reason_since timestamptz not null,
    metadata json not null,
    version integer not null constraint version_counts_from_one check (version >= 1),
    sync_state text
        constraint sync_state_is_known check (sync_state in ('RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT')),
    sync_started_at timestamptz,
    sync_finished_at timestamptz,
    sync_expires_at timestamptz,
    sync_lease_seconds integer,
    sync_steps json,
    sync_message text,
    connection_failures integer not null constraint connection_failures_are_counted check (connection_failures >= 0),
    authorization_expires_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    activated_at timestamptz,
    constraint one_installation_for_an_application_and_an_account unique (application_id, account_id),
    constraint a_sync_runs_exactly_while_integration_is_pending
        check ((status = 'PENDING_INTEGRATION') = (coalesce(sync_state, '') = 'RUNNING')),
    constraint a_running_sync_has_a_lease check (sync_state <> 'RUNNING' or sync_expires_at is not null)
);

create index installations_by_creation on installations (created_at, id);
create index installations_by_update on installations (updated_at, id);
create index installations_of_application_by_creation on installations (application_id, created_at, id);
create index installations_of_application_by_update on installations (application_id, updated_at, id);
create index installations_of_account_by_creation on installations (account_id, created_at, id);
create index installations_of_account_by_update on installations (account_id, updated_at, id);
create index installations_by_metadata on installations using gin ((metadata::jsonb) jsonb_path_ops);

-- What the clock looks for: rows whose time may have come, and nothing else.
create index installations_by_authorization_expiry on installations (authorization_expires_at)
    where authorization_expires_at is not null and status <> 'INACTIVE';
create index installations_by_sync_expiry on installations (sync_expires_at) where status = 'PENDING_INTEGRATION';

-- The log. Its order is (xid, id), and it is read only up to the oldest transaction still running:
-- by id alone, a transaction that took a lower id and commits later would be lost.
-- xid is the writing transaction's id plus the log's xid_offset; see event_log.
-- No foreign keys: events outlive what they tell of.
create table installation_events (
    id bigint generated always as identity primary key,
    xid bigint not null,
    occurred_at timestamptz not null,
    actor_kind text not null,
    actor_id text,
    actor_label text,
    installation_id uuid not null,
    application_id uuid not null,
    account_id uuid not null,
    version integer not null,
    kind text not null constraint event_kind_is_known check (
        kind in ('STATUS_CHANGED', 'METADATA_UPDATED', 'SYNC_PROGRESSED', 'CONNECTION_REPORTED', 'AUTHORIZATION_RENEWED')
    ),
    change json not null
);

create index events_in_order on installation_events (xid, id);
create index events_of_installation_in_order on installation_events (installation_id, xid, id);
create index events_of_application_in_order on installation_events (application_id, xid, id);
create index events_of_account_in_order on installation_events (account_id, xid, id);

-- One row. A cursor carries the epoch. It changes when the log is found in another cluster than it was written in,
-- where transaction ids start anew: then xid_offset becomes the greatest xid of the log, so that what is written from
-- there on comes after all that was written before, and no row has to be rewritten.
-- Rows up to `pruned` have been removed by retention.
create table event_log (
    only_row boolean primary key default true constraint event_log_has_one_row check (only_row),
    epoch bigint not null constraint epoch_has_sixty_bits check (epoch >= 0 and epoch < 1152921504606846976),
    system_identifier bigint not null,
    xid_offset bigint not null,
    pruned_xid bigint not null,
    pruned_id bigint not null
);

insert into event_log (epoch, system_identifier, xid_offset, pruned_xid, pruned_id)
-- sha256, not md5: a server under FIPS rules refuses that.
select
    ('x' || substr(encode(sha256(gen_random_uuid()::text::bytea), 'hex'), 1, 15))::bit(60)::bigint,
    system_identifier, 0, 0, 0
from pg_control_system();

-- Of a key only a digest is kept; the prefix, which is no secret, finds the row.
create table api_keys (
    id uuid primary key,
    prefix text not null constraint api_key_prefix_is_unique unique,
    digest bytea not null,
    kind text not null constraint api_key_kind_is_known check (kind in ('PLATFORM', 'APPLICATION', 'ACCOUNT')),
    application_id uuid constraint api_key_has_an_application references applications,
    account_id uuid constraint api_key_has_an_account references accounts,
    label text not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    constraint api_key_bounds_fit_its_kind check (
        case kind
            when 'PLATFORM' then application_id is null and account_id is null
            when 'APPLICATION' then application_id is not null
            when 'ACCOUNT' then application_id is null and account_id is not null
        end
    )
);
