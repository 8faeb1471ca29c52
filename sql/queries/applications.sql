-- name: insert_application
-- Returns no row where the slug or the id is taken. Example data has the same ids in every database, so two processes
-- that load it at the same time can conflict in either.
insert into applications (
    id, slug, name, description, categories, logo_url, authorization_method, requires_configuration, listed,
    created_at, updated_at
)
values (
    :id, :slug, :name, :description, :categories, :logo_url, :authorization_method, :requires_configuration, :listed,
    :created_at, :updated_at
)
on conflict do nothing
returning true;

-- name: lock_application
select id, slug, name, description, categories, logo_url, authorization_method, requires_configuration, listed,
    created_at, updated_at
from applications
where id = :id
for update;

-- name: update_application!
update applications
set name = :name, description = :description, categories = :categories, logo_url = :logo_url,
    requires_configuration = :requires_configuration, listed = :listed, updated_at = :updated_at
where id = :id;

-- name: select_applications_by_id
select id, slug, name, description, categories, logo_url, authorization_method, requires_configuration, listed,
    created_at, updated_at
from applications
where id = any(array(select unnest(:ids::uuid[])));

-- name: select_applications_by_slug
select id, slug, name, description, categories, logo_url, authorization_method, requires_configuration, listed,
    created_at, updated_at
from applications
where slug = any(:slugs::text[]);

-- name: select_application_page
-- One page of the applications by name, in one direction. The first two conditions leave out unlisted applications
-- that the caller does not see.
select id, slug, name, description, categories, logo_url, authorization_method, requires_configuration, listed,
    created_at, updated_at
from applications a
where true
    and (a.listed or a.id = :visible_id) --? listed_or_id
    and (a.listed or exists ( --? listed_or_installed
        select from installations i where i.application_id = a.id and i.account_id = :account_id --? listed_or_installed
    )) --? listed_or_installed
    and (a.name ilike :pattern or a.slug ilike :pattern or a.description ilike :pattern) --? search
    and :category = any(a.categories) --? category
    and a.authorization_method = :authorization_method --? authorization_method
    and a.listed = :listed --? listed
    and (a.name, a.id) > (:above_value, :above_id) --? above
    and (a.name, a.id) < (:below_value, :below_id) --? below
order by a.name, a.id --? ascending
order by a.name desc, a.id desc --? descending
limit :limit;

-- name: count_applications
select count(*)
from applications a
where true
    and (a.listed or a.id = :visible_id) --? listed_or_id
    and (a.listed or exists ( --? listed_or_installed
        select from installations i where i.application_id = a.id and i.account_id = :account_id --? listed_or_installed
    )) --? listed_or_installed
    and (a.name ilike :pattern or a.slug ilike :pattern or a.description ilike :pattern) --? search
    and :category = any(a.categories) --? category
    and a.authorization_method = :authorization_method --? authorization_method
    and a.listed = :listed --? listed
;

-- name: select_application_ids_by_name
-- Applications whose name contains a text, of these ids, and that are installed for one of these accounts.
select a.id
from applications a
where strpos(lower(a.name), lower(:search)) > 0
    and a.id = any(:application_ids::uuid[]) --? applications
    and exists ( --? accounts
        select from installations i --? accounts
        where i.application_id = a.id and i.account_id = any(:account_ids::uuid[]) --? accounts
    ) --? accounts
limit :limit;
