-- name: upsert_account!
insert into accounts (id, name)
values (:id, :name)
on conflict (id) do update set name = excluded.name;

-- name: select_accounts_by_id
select id, name
from accounts
where id = any(array(select unnest(:ids::uuid[])));

-- name: select_account_page
-- One page of the accounts by name, in one direction.
select a.id, a.name
from accounts a
where true
    and a.id = :id --? id
    and exists (select from installations i where i.account_id = a.id and i.application_id = :application_id) --? installed
    and strpos(lower(a.name), lower(:search)) > 0 --? search
    and parts_of_name(a.name) @> parts_of_name(:search) --? search_by_parts
    and (a.name, a.id) > (:above_value, :above_id) --? above
    and (a.name, a.id) < (:below_value, :below_id) --? below
order by a.name, a.id --? ascending
order by a.name desc, a.id desc --? descending
limit :limit;

-- name: count_accounts
select count(*)
from accounts a
where true
    and a.id = :id --? id
    and exists (select from installations i where i.account_id = a.id and i.application_id = :application_id) --? installed
    and strpos(lower(a.name), lower(:search)) > 0 --? search
;

-- name: select_account_ids_by_name
-- Accounts whose name contains a text, of these ids, and that have one of these applications installed.
select a.id
from accounts a
where strpos(lower(a.name), lower(:search)) > 0
    and parts_of_name(a.name) @> parts_of_name(:search) --? search_by_parts
    and a.id = any(:account_ids::uuid[]) --? accounts
    and exists ( --? applications
        select from installations i --? applications
        where i.account_id = a.id and i.application_id = any(:application_ids::uuid[]) --? applications
    ) --? applications
limit :limit;
