-- Every filter of a list has an index or a bounded cost.

-- A page of some statuses or reasons merges one range for each pair of them: with the lists' own indexes, it would
-- read past all others, such as everything that is activated before the oldest that is not. Seven letters tell the
-- pairs apart; with the whole names these indexes would be half as large again.
create function state_of(status text, reason_code text) returns text
language sql immutable parallel safe
as $$ select left(status, 2) || left(reason_code, 1) || right(reason_code, 4) $$;

create index installations_by_state_and_creation on installations (state_of(status, reason_code), created_at, id);
create index installations_by_state_and_update on installations (state_of(status, reason_code), updated_at, id);
create index installations_of_application_by_state_and_creation
    on installations (application_id, state_of(status, reason_code), created_at, id);
create index installations_of_application_by_state_and_update
    on installations (application_id, state_of(status, reason_code), updated_at, id);

-- Unlike the clock's index, with those that are INACTIVE.
create index installations_by_end_of_authorization on installations (authorization_expires_at)
    where authorization_expires_at is not null;

create index accounts_by_name on accounts (name, id);

create index api_keys_by_creation on api_keys (created_at, id);
create index api_keys_by_kind on api_keys (kind, created_at, id);
create index api_keys_of_application on api_keys (application_id, created_at, id) where application_id is not null;
create index api_keys_of_account on api_keys (account_id, created_at, id) where account_id is not null;

-- All three letters in a row of a name, in lower case. A name contains a text only if its parts contain those of the
-- text, which an index finds; as pg_trgm does, which not every Postgres has. The cost keeps the planner from computing
-- the parts of every row.
create function parts_of_name(name text) returns text[]
language sql immutable strict parallel safe cost 10000
as $$
    select coalesce(array_agg(distinct substr(lower(name), start, 3)), '{}')
    from generate_series(1, length(lower(name)) - 2) as start
$$;

create index accounts_by_parts_of_name on accounts using gin (parts_of_name(name));
