-- name: upsert_account!
insert into accounts (id, name)
values (:id, :name)
on conflict (id) do update set name = excluded.name;

-- name: select_accounts_by_id
select id, name
from accounts
where id = any(:ids::uuid[]);
