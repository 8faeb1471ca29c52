"""Attacks by whole requests: bodies that take long to read, documents that take long to check, floods of these."""

import gzip
import hashlib
import json
import secrets

from tests.attacks.attacker import Attacker, Attacks, attack, body_of, gathered, request
from tests.attacks.operation_attacks import aliases

REQUESTS: Attacks = []
DIGITS = b'{"query": "{ viewer { kind } }", "variables": {"a": [' + b"1," * 490_000 + b"1]}}"


@attack(REQUESTS, "BAD_USER_INPUT", "QUERY_TOO_COMPLEX")
async def broken_bodies_without_a_key(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.send(request(DIGITS[:-2])) for _ in range(20)))


@attack(REQUESTS, "BAD_USER_INPUT", "QUERY_TOO_COMPLEX")
async def broken_bodies_with_a_key(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.send(request(DIGITS[:-2], key=attacker.account_key)) for _ in range(20)))


@attack(REQUESTS, "BAD_USER_INPUT", "QUERY_TOO_COMPLEX", "UNAUTHENTICATED")
async def large_variables_without_a_key(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.send(request(DIGITS)) for _ in range(20)))


@attack(REQUESTS, "GRAPHQL_PARSE_FAILED")
async def bodies_of_escapes(attacker: Attacker) -> set[str]:
    body = b'{"query": "' + b"\\u0041" * 160_000 + b'"}'
    return await gathered(*(attacker.send(request(body, key=attacker.account_key)) for _ in range(20)))


@attack(REQUESTS, "BAD_USER_INPUT", "QUERY_TOO_COMPLEX", "OK")
async def duplicate_keys(attacker: Attacker) -> set[str]:
    body = b'{"query": "{ viewer { kind } }", "variables": {' + b'"a":1,' * 160_000 + b'"a":1}}'
    return await gathered(*(attacker.send(request(body, key=attacker.account_key)) for _ in range(5)))


@attack(REQUESTS, "BAD_USER_INPUT")
async def bodies_nested_deeply(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.send(request(b"[" * 900_000)) for _ in range(20)))


@attack(REQUESTS, "OK")
async def large_extensions(attacker: Attacker) -> set[str]:
    body = b'{"query": "{ __typename }", "extensions": {"a": [' + b"[]," * 300_000 + b"1]}}"
    return await gathered(*(attacker.send(request(body)) for _ in range(20)))


@attack(REQUESTS, "BAD_USER_INPUT")
async def a_batch(attacker: Attacker) -> set[str]:
    batch = json.dumps([{"query": "{ viewer { kind } }"}] * 20_000).encode()
    return await gathered(*(attacker.send(request(batch[:999_000], key=attacker.account_key)) for _ in range(10)))


@attack(REQUESTS, "GRAPHQL_VALIDATION_FAILED", "QUERY_TOO_COMPLEX")
async def invalid_documents(attacker: Attacker) -> set[str]:
    """Each of them is another one, and parsed and validated anew."""
    return await gathered(*(
        attacker.post("{" + " ".join(f"unknown{n}x{turn}" for n in range(490)) + "}") for turn in range(60)
    ))  # fmt: skip


@attack(REQUESTS, "GRAPHQL_PARSE_FAILED")
async def syntax_errors_at_the_end(attacker: Attacker) -> set[str]:
    text = "{" + " viewer { kind }" * 240
    return await gathered(*(attacker.post(f"{text} a{turn}") for turn in range(60)))


@attack(REQUESTS, "OK", "QUERY_TOO_COMPLEX")
async def valid_documents_that_are_as_long_as_may_be(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.post("{ viewer { kind } } #" + f"{turn}" * 99_000) for turn in range(8)))


@attack(REQUESTS, "OK", "QUERY_TOO_COMPLEX")
async def valid_documents_of_many_fields(attacker: Attacker) -> set[str]:
    return await gathered(*(
        attacker.post(f"{{ viewer {{ kind a{turn}: kind " + " account { id name }" * 160 + "} }") for turn in range(60)
    ))  # fmt: skip


@attack(REQUESTS, "OK", "QUERY_TOO_COMPLEX", "BAD_USER_INPUT", "UNAUTHENTICATED")
async def automatic_documents_without_a_key(attacker: Attacker) -> set[str]:
    async def remember(turn: int) -> set[str]:
        text = "{ viewer { kind } } #" + f"{turn:02}" * 95_000
        extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
        return await attacker.send(request(json.dumps({"query": text, "extensions": extensions}).encode()))

    return await gathered(*map(remember, range(60)))


@attack(REQUESTS, "BAD_USER_INPUT", "PERSISTED_DOCUMENT_NOT_FOUND")
async def unknown_document_ids(attacker: Attacker) -> set[str]:
    async def ask(turn: int) -> set[str]:
        body = json.dumps({"documentId": f"{turn}" * 200_000}).encode()
        return await attacker.send(request(body, key=attacker.account_key))

    return await gathered(*map(ask, range(1, 5)), *map(ask, range(1, 10)))


@attack(REQUESTS, "BAD_USER_INPUT", "415")
async def compressed_bodies(attacker: Attacker) -> set[str]:
    bomb = gzip.compress(bytes(100_000_000))
    return await gathered(*(
        attacker.send(request(bomb, "Content-Encoding: gzip", key=attacker.account_key)) for _ in range(20)
    ))  # fmt: skip


@attack(REQUESTS, "UNAUTHENTICATED")
async def made_up_keys(attacker: Attacker) -> set[str]:
    async def guess() -> set[str]:
        keys = [f"igw_{secrets.token_hex(6)}_{secrets.token_hex(22)[:43]}" for _ in range(100)]
        return await attacker.send(*(request(body_of("{ viewer { kind } }"), key=key) for key in keys))

    return await gathered(*(guess() for _ in range(20)))


@attack(REQUESTS, "UNAUTHENTICATED")
async def one_made_up_key(attacker: Attacker) -> set[str]:
    wrong = request(body_of("{ viewer { kind } }"), key=f"igw_{'a' * 12}_{'b' * 43}")
    return await gathered(*(attacker.send(*[wrong] * 100) for _ in range(20)))


@attack(REQUESTS, "OK", "UNAVAILABLE")
async def many_mutations_of_one_row(attacker: Attacker) -> set[str]:
    """Each of them waits for the row's lock on a connection of the pool."""
    key = attacker.application_key
    data = await attacker.data("{ installations(first: 1) { nodes { id } } }", key=key)
    of = data["installations"]["nodes"][0]["id"]
    update = f'updateInstallationMetadata(input: {{id: "{of}", change: {{merge: {{n: %d}}}}}}) {{ __typename }}'
    return await gathered(*(
        attacker.post("mutation {" + aliases(25, update % turn) + "}", key=key) for turn in range(40)
    ))  # fmt: skip


@attack(REQUESTS, "OK", "UNAVAILABLE", "QUERY_TOO_COMPLEX")
async def many_pages_at_once(attacker: Attacker) -> set[str]:
    query = "{ " + " ".join(f"a{n}: applications(first: {n}) {{ totalCount nodes {{ id }} }}" for n in range(20)) + " }"
    return await gathered(*(attacker.post(query) for _ in range(40)))


@attack(REQUESTS, "OK", "QUERY_TOO_COMPLEX")
async def more_combinations_of_conditions_than_are_compiled(attacker: Attacker) -> set[str]:
    query = (
        "query (" + " ".join(f"$v{n}: Boolean!" for n in range(5)) + ") { viewer { account { installations(first: 40) {"
        " nodes { account { installations(first: 40) { nodes { "
        + " ".join(f"a{n}: id @include(if: $v{n})" for n in range(5)) + " } } } } } } } }"
    )  # fmt: skip
    found: set[str] = set()
    for number in range(8, 32):
        found |= await attacker.post(query, {f"v{n}": bool(number >> n & 1) for n in range(5)})
    return found


@attack(REQUESTS, "OK", "QUERY_TOO_COMPLEX")
async def each_operation_of_a_long_document(attacker: Attacker) -> set[str]:
    text = " ".join(f"query Q{n} {{ viewer {{ kind }} }}" for n in range(240))
    bodies = [json.dumps({"query": text, "operationName": f"Q{n}"}).encode() for n in range(240)]
    return await gathered(*(
        attacker.send(*(request(body, key=attacker.account_key) for body in bodies[start::8])) for start in range(8)
    ))  # fmt: skip
