-- name: insert_api_key!
insert into api_keys (id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at)
values (:id, :prefix, :digest, :kind, :application_id, :account_id, :label, :created_at, :expires_at);

-- name: select_api_key_by_prefix^
select id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at
from api_keys
where prefix = :prefix;

-- name: select_api_keys
select id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at
from api_keys
order by created_at, id;

-- name: revoke_api_key^
-- The first revocation counts; a second one answers its time.
update api_keys
set revoked_at = coalesce(revoked_at, :now)
where id = :id
returning id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at;

-- name: announce_api_keys!
-- Every gateway forgets what it remembers of keys. Rare enough for a notification inside the write.
notify api_keys;

-- name: touch_api_keys!
-- Locked in one order: two gateways that note the same keys at once would wait for each other.
with locked as (
    select id
    from api_keys
    where id = any(:ids::uuid[])
    order by id
    for no key update
)
update api_keys
set last_used_at = used.at
from unnest(:ids::uuid[], :times::timestamptz[]) as used (id, at)
join locked on locked.id = used.id
where api_keys.id = used.id and (api_keys.last_used_at is null or api_keys.last_used_at < used.at);

-- name: select_ended_api_keys
-- Which of these keys open nothing any more.
select id
from api_keys
where id = any(:ids::uuid[]) and (revoked_at is not null or expires_at <= :now);
