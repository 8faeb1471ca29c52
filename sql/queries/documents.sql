-- name: insert_documents
-- Texts that are stored already stay as they are. Returns how many were new.
with inserted as (
    insert into documents (digest, text, registered_at)
    select sha256(convert_to(given.text, 'UTF8')), given.text, :now
    from unnest(:texts::text[]) as given (text)
    on conflict (digest) do nothing
    returning 1
)
select count(*) from inserted;

-- name: select_document
select text
from documents
where digest = :digest;
