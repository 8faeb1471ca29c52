-- name: insert_api_key!
insert into api_keys (id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at)
values (:id, :prefix, :digest, :kind, :application_id, :account_id, :label, :created_at, :expires_at);

-- name: select_api_keys_by_prefix
select id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at
from api_keys
where prefix = any(:prefixes::text[]);

-- name: select_api_keys_by_id
select id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at
from api_keys
where id = any(:ids::uuid[]);

-- name: select_api_keys
select id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at
from api_keys
order by created_at, id;

-- name: select_api_key_page
-- One page of the API keys by the time when they were issued, in one direction.
select id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at
from api_keys k
where true
    and k.kind = :kind --? kind
    and k.application_id = :application_id --? application
    and k.account_id = :account_id --? account
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > :now) --? in_force
    and (k.revoked_at is not null or k.expires_at <= :now) --? ended
    and (k.created_at, k.id) > (:above_value, :above_id) --? above
    and (k.created_at, k.id) < (:below_value, :below_id) --? below
order by k.created_at, k.id --? ascending
order by k.created_at desc, k.id desc --? descending
limit :limit;

-- name: count_api_keys
select count(*)
from api_keys k
where true
    and k.kind = :kind --? kind
    and k.application_id = :application_id --? application
    and k.account_id = :account_id --? account
    and k.revoked_at is null and (k.expires_at is null or k.expires_at > :now) --? in_force
    and (k.revoked_at is not null or k.expires_at <= :now) --? ended
;

-- name: revoke_api_key
-- A second revocation keeps the time of the first.
update api_keys
set revoked_at = coalesce(revoked_at, :now)
where id = :id
returning id, prefix, digest, kind, application_id, account_id, label, created_at, expires_at, revoked_at, last_used_at;

-- name: notify_api_keys!
-- Every gateway clears its cache of keys. Revocations are rare, so this may be part of the write: a notification takes
-- a lock on the whole database until its transaction is done.
notify api_keys;

-- name: touch_api_keys!
-- Rows are locked in the order of their ids, so that two gateways that store the same keys do not deadlock.
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
-- Which of these keys are revoked or expired.
select id
from api_keys
where id = any(:ids::uuid[]) and (revoked_at is not null or expires_at <= :now);
