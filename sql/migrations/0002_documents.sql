-- Documents that the operator has registered for clients to run; found by the SHA-256 of their text in UTF-8.
create table documents (
    digest bytea primary key constraint document_digest_is_a_sha256 check (octet_length(digest) = 32),
    text text not null constraint document_is_what_its_digest_says check (digest = sha256(convert_to(text, 'UTF8'))),
    registered_at timestamptz not null
);
