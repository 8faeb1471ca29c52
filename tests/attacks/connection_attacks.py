"""Attacks on the connection: heads, trailers, bodies without end, pipelines, slow readers, many connections."""

import asyncio
import re
from contextlib import AsyncExitStack

from tests.attacks.attacker import Attacker, Attacks, attack, body_of, gathered, head, request, statuses
from tests.attacks.operation_attacks import aliases, rows

CONNECTIONS: Attacks = []
MEGABYTE = b"x" * 1_000_000


@attack(CONNECTIONS, "200", "429", "503")
async def readiness_checks(attacker: Attacker) -> set[str]:
    asked = request(b"", method="GET", path="/readyz")
    return await gathered(*(attacker.send(*[asked] * 100) for _ in range(10)))


@attack(CONNECTIONS, "404", "400", "405", "BAD_USER_INPUT")
async def addresses_and_methods_that_are_none(attacker: Attacker) -> set[str]:
    requests = [
        request(b"", method=method, path=path).replace(b"localhost", b"evil.example")
        for method, path in (("GET", "/graphql/"), ("PUT", "/graphql"), ("TRACE", "/"), ("GET", "/" + "a" * 60_000))
    ]
    return await gathered(*(attacker.send(*requests * 5) for _ in range(10)))


@attack(CONNECTIONS, "400")
async def requests_that_are_not_http(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.exchange(b"\x16\x03\x01 nonsense\r\n\r\n") for _ in range(500)))


@attack(CONNECTIONS, "400", "closed")
async def conflicting_lengths(attacker: Attacker) -> set[str]:
    body = body_of("{ viewer { kind } }")
    smuggled = request(b"", method="GET", path="/readyz")
    return await gathered(
        attacker.exchange(head(f"Content-Length: {len(body)}", "Content-Length: 3") + body),
        attacker.exchange(head("Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + smuggled),
        attacker.exchange(head("Transfer-Encoding: chunked, identity") + body),
        attacker.exchange(head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n" + body),
    )


@attack(CONNECTIONS, "400", "401", "413", "431", "closed")
async def trailers_without_end_and_without_a_key(attacker: Attacker) -> set[str]:
    return await _trailers(attacker, key=False)


@attack(CONNECTIONS, "400", "401", "413", "431", "closed")
async def trailers_without_end(attacker: Attacker) -> set[str]:
    return await _trailers(attacker, key=True)


async def _trailers(attacker: Attacker, *, key: bool) -> set[str]:
    body = body_of("{ viewer { kind } }")
    authorization = [f"Authorization: Bearer {attacker.account_key}"] if key else []
    start = head(*authorization, "Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    line = b"x-trailer: " + b"a" * 4_000 + b"\r\n"
    return await attacker.exchange(start, *[line * 16] * 1_000)


@attack(CONNECTIONS, "400", "401", "413", "431", "closed")
async def one_trailer_without_end_after_an_answer(attacker: Attacker) -> set[str]:
    wrong = head("Transfer-Encoding: chunked", "Authorization: Bearer igw_wrong")
    return await attacker.exchange(wrong + b"0\r\nx-trailer: ", *[b"a" * 64_000] * 1_000)


@attack(CONNECTIONS, "400", "401", "413", "408", "closed")
async def chunks_of_one_byte(attacker: Attacker) -> set[str]:
    body = body_of("{ viewer { kind } }") + b" " * 200_000
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    return await attacker.exchange(head("Transfer-Encoding: chunked", "Connection: close") + chunks)


@attack(CONNECTIONS, "400", "413", "408", "431", "closed", "OK", "200")
async def extensions_of_chunks(attacker: Attacker) -> set[str]:
    start = head("Transfer-Encoding: chunked", "Connection: close") + b"1;a="
    return await attacker.exchange(start, *[b"a" * 64_000] * 500, b"\r\n{\r\n0\r\n\r\n")


@attack(CONNECTIONS, "401", "408", "closed")
async def bodies_that_trickle_after_a_refusal(attacker: Attacker) -> set[str]:
    """The refusal has ended what there was to say: the gateway has to close."""

    async def trickle() -> set[str]:
        async with attacker.connection() as (reader, writer):
            writer.write(head("Content-Length: 900000", "Authorization: Bearer igw_wrong"))
            reading = asyncio.create_task(statuses(reader))
            for _ in range(20):
                await asyncio.wait([reading], timeout=0.5)
                if reading.done():
                    return await reading
                writer.write(b"x")
            reading.cancel()
            return {"open"}

    return await gathered(*(trickle() for _ in range(300)))


@attack(CONNECTIONS, "401", "408", "413", "closed")
async def bodies_that_flood_after_a_refusal(attacker: Attacker) -> set[str]:
    wrong = head("Transfer-Encoding: chunked", "Authorization: Bearer igw_wrong")
    return await attacker.exchange(wrong, *[b"f4240\r\n" + MEGABYTE + b"\r\n"] * 100)


@attack(CONNECTIONS, "200", "400", "429", "503", "closed")
async def a_thousand_requests_in_a_pipeline(attacker: Attacker) -> set[str]:
    body, key = body_of("{ viewer { kind } }"), attacker.account_key
    return await attacker.exchange(request(body, key=key) * 999 + request(body, "Connection: close", key=key))


@attack(CONNECTIONS, "200", "400", "429", "503", "closed")
async def a_pipeline_of_short_requests(attacker: Attacker) -> set[str]:
    return await attacker.exchange(b"GET /healthz HTTP/1.1\r\n\r\n" * 20_000 + b"GET / HTTP/1.0\r\n\r\n")


@attack(CONNECTIONS, "200", "400", "429", "503", "closed", "404")
async def old_http_without_keeping_the_connection(attacker: Attacker) -> set[str]:
    return await gathered(*(attacker.exchange(b"GET /healthz HTTP/1.0\r\n\r\n") for _ in range(1_000)))


@attack(CONNECTIONS, "200", "400", "401", "431", "closed", "BAD_USER_INPUT")
async def heads_of_thousands_of_fields(attacker: Attacker) -> set[str]:
    fields = [f"a{n:x}: " for n in range(6_000)]
    asked = request(b"{}", *fields)
    return await gathered(*(attacker.send(*[asked] * 10) for _ in range(10)))


@attack(CONNECTIONS, "406", "415", "BAD_USER_INPUT", "431")
async def long_fields_that_are_remembered(attacker: Attacker) -> set[str]:
    def asked(turn: int) -> list[bytes]:
        accept = request(b"{", f"Accept: application/json;a={turn}" + ",*/*" * 14_000)
        return [accept, head(f"Content-Length: 1\r\nContent-Type: application/json;a={turn}" + ";a=1" * 14_000) + b"{"]

    turns = (range(start, start + 30) for start in range(0, 300, 30))
    return await gathered(*(attacker.send(*(each for turn in some for each in asked(turn))) for some in turns))


@attack(CONNECTIONS, "400", "401", "414", "431", "BAD_USER_INPUT", "UNAUTHENTICATED")
async def long_query_strings(attacker: Attacker) -> set[str]:
    paths = ["/graphql?" + "a=1&" * 15_000, "/graphql?query=%7B__typename%7D&variables=%7B" + "%22a%22:1," * 5_000]
    requests = [request(b"", method="GET", path=path) for path in paths]
    return await gathered(*(attacker.send(*requests * 10) for _ in range(10)))


@attack(CONNECTIONS, "200", "408", "429", "431", "503", "closed", "ConnectionRefusedError")
async def a_thousand_silent_connections(attacker: Attacker) -> set[str]:
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(1_000):
            try:
                opened.append(await stack.enter_async_context(attacker.connection()))
            except OSError as error:
                return {type(error).__name__}
        await asyncio.sleep(0.5)
        reader, writer = opened[-1]
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        return await statuses(reader)


LARGE_ANSWER = f"{{ installations(first: 100) {{ nodes {{ {aliases(4, 'metadata')} }} }} }}"


@attack(CONNECTIONS, "OK", "QUERY_TOO_COMPLEX", "closed", "200", "429", "503")
async def readers_that_take_nothing(attacker: Attacker) -> set[str]:
    return await _held_answers(attacker, pause=3.0)


@attack(CONNECTIONS, "OK", "QUERY_TOO_COMPLEX", "closed", "200", "429", "503")
async def readers_that_take_a_little(attacker: Attacker) -> set[str]:
    return await _held_answers(attacker, pause=0.1)


async def _held_answers(attacker: Attacker, *, pause: float) -> set[str]:
    """Ask for 20 answers of 6.4 MB, and read 1,000 bytes after each pause of 3 seconds in all."""

    async def hold() -> set[str]:
        async with attacker.connection() as (reader, writer):
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's own sockets have it
            writer.write(request(body_of(LARGE_ANSWER), key=attacker.large_key))
            received = b""
            for _ in range(int(3 / pause)):
                await asyncio.sleep(pause)
                writer.transport.resume_reading()  # type: ignore[attr-defined]
                received += await reader.read(1_000)
                writer.transport.pause_reading()  # type: ignore[attr-defined]
            return {received.split()[1].decode()} if received else {"closed"}

    return await gathered(*(hold() for _ in range(20)))


@attack(CONNECTIONS, "200", "429", "503")
async def streams_opened_and_left(attacker: Attacker) -> set[str]:
    async def leave(turn: int, accept: str) -> set[str]:
        body = body_of(f"subscription {{ a{turn}: installationEvents {{ installation {{ id }} }} }}")
        async with attacker.connection() as (reader, writer):
            writer.write(request(body, f"Accept: {accept}", key=attacker.account_key))
            return {(await reader.readline()).split()[1].decode()}

    types = ("text/event-stream", 'multipart/mixed;subscriptionSpec="1.0"')
    return await gathered(*(leave(turn, types[turn % 2]) for turn in range(300)))


@attack(CONNECTIONS, "408", "429", "503", "closed", "BAD_USER_INPUT", "UNAUTHENTICATED")
async def bodies_that_do_not_end(attacker: Attacker) -> set[str]:
    """Each of them is held without a key, up to its last byte."""
    start = head("Content-Length: 1000000") + b" " * 999_999

    async def hold() -> None:
        async with attacker.connection() as (reader, writer):
            writer.write(start)
            await asyncio.wait([asyncio.create_task(reader.read(1))], timeout=3)

    await asyncio.gather(*(hold() for _ in range(300)))
    return {"closed"}


@attack(CONNECTIONS, "200", "429", "503", "404")
async def files_that_nobody_reads(attacker: Attacker) -> set[str]:
    async with attacker.connection() as (reader, writer):
        writer.write(b"GET /graphql HTTP/1.0\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")
        paths = re.findall(r'(?:src|href)="(graphiql/[^"]+)"', (await reader.read(-1)).decode())
    assert paths

    async def hold() -> None:
        async with AsyncExitStack() as stack:
            for path in paths:
                _, writer = await stack.enter_async_context(attacker.connection())
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                writer.write(request(b"", method="GET", path=f"/{path}"))
            await asyncio.sleep(2)

    await asyncio.gather(*(hold() for _ in range(50)))
    return {"200"}


@attack(CONNECTIONS, "200", "429", "503", "404", "406")
async def pages_and_metrics(attacker: Attacker) -> set[str]:
    paths = ("/graphql", "/metrics", "/graphiql/config.json")
    asked = [request(b"", "Accept: text/html,*/*", method="GET", path=path) for path in paths]
    return await gathered(*(attacker.send(*asked * 20) for _ in range(10)))


@attack(CONNECTIONS, "101", "400", "431", "403", "426", "closed", "200", "406")
async def handshakes_of_other_protocols(attacker: Attacker) -> set[str]:
    upgrade = (
        "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: " + "graphql-ws," * 5_000 + "x\r\n\r\n"
    )
    return await gathered(*(attacker.exchange(upgrade.encode()) for _ in range(200)))


@attack(CONNECTIONS, "408", "429", "431", "503", "closed")
async def heads_that_do_not_end(attacker: Attacker) -> set[str]:
    start = head("X-Long: " + "a" * 63_000)[:-4]

    async def hold() -> None:
        async with attacker.connection() as (reader, writer):
            writer.write(start)
            await asyncio.wait([asyncio.create_task(reader.read(1))], timeout=3)

    await asyncio.gather(*(hold() for _ in range(3_000)))
    return {"closed"}


@attack(CONNECTIONS, "closed", "OK")
async def queries_of_clients_that_leave(attacker: Attacker) -> set[str]:
    query = rows("id status allowedActions application { name }", levels=2, size="(first: 40)")

    async def leave() -> None:
        async with attacker.connection() as (_, writer):
            writer.write(request(body_of("{ " + query + " }"), key=attacker.account_key))
            await writer.drain()
            await asyncio.sleep(0.05)

    await asyncio.gather(*(leave() for _ in range(40)))
    return {"closed"}


@attack(CONNECTIONS, "closed", "OK")
async def mutations_of_clients_that_leave(attacker: Attacker) -> set[str]:
    """A mutation that has begun is finished: so many of them go on."""
    key = attacker.application_key
    of = (await attacker.data("{ installations(first: 1) { nodes { id } } }", key=key))["installations"]["nodes"][0][
        "id"
    ]
    change = f'updateInstallationMetadata(input: {{id: "{of}", change: {{merge: {{n: 1}}}}}}) {{ __typename }}'

    async def leave() -> None:
        async with attacker.connection() as (_, writer):
            writer.write(request(body_of("mutation { " + aliases(25, change) + " }"), key=key))
            await writer.drain()
            await asyncio.sleep(0.05)

    await asyncio.gather(*(leave() for _ in range(100)))
    return {"closed"}
