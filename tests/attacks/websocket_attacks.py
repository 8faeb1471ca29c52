"""Attacks over WebSocket: messages before the initialisation, floods of frames, and subscriptions."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

from websockets.exceptions import ConnectionClosed

from tests.attacks.attacker import PATIENCE, Attacker, Attacks, attack, gathered, until_closed
from tests.attacks.operation_attacks import aliases, rows

WEBSOCKETS: Attacks = []
COSTLY = "{ " + rows(aliases(98, "statusReason { code message since }")).removeprefix("viewer { ")


async def _flood(attacker: Attacker, message: str, count: int, *, key: str | None = None) -> set[str]:
    async with attacker.socket(key=key) as socket:
        with suppress(ConnectionClosed):
            for _ in range(count):
                await socket.send(message)
            await socket.send('{"type": "end"}')  # no message of the protocol
        return await until_closed(socket)


@attack(WEBSOCKETS, "4400", "4401", "4408", "1009", "closed")
async def pings_of_a_megabyte_before_the_initialisation(attacker: Attacker) -> set[str]:
    return await _flood(attacker, '{"type": "ping", "payload": {"a": [' + "1," * 490_000 + "1]}}", 20)


@attack(WEBSOCKETS, "4400", "4401", "4408", "1008", "1013", "4429")
async def pings_of_a_megabyte(attacker: Attacker) -> set[str]:
    ping = '{"type": "ping", "payload": {"a": [' + "1," * 490_000 + "1]}}"
    return await _flood(attacker, ping, 20, key=attacker.account_key)


@attack(WEBSOCKETS, "4400", "4401", "4408", "1009", "closed")
async def a_ping_nested_deeply(attacker: Attacker) -> set[str]:
    nested = '{"type": "ping", "payload": {"a":' + "[" * 900 + "]" * 900 + "}}"
    return await gathered(*(_flood(attacker, nested, 1) for _ in range(20)))


@attack(WEBSOCKETS, "4400", "4401", "4408", "1009", "closed")
async def an_initialisation_of_a_megabyte(attacker: Attacker) -> set[str]:
    message = '{"type": "connection_init", "payload": {"a": [' + "1," * 490_000 + "1]}}"
    return await gathered(*(_flood(attacker, message, 1) for _ in range(20)))


@attack(WEBSOCKETS, "4400", "1008", "1013", "4429")
async def many_short_messages(attacker: Attacker) -> set[str]:
    return await _flood(attacker, '{"type": "pong"}', 30_000, key=attacker.account_key)


@attack(WEBSOCKETS, "4400", "4401", "1008", "1013", "4429")
async def subscriptions_completed_at_once(attacker: Attacker) -> set[str]:
    async with attacker.socket(key=attacker.account_key) as socket:
        with suppress(ConnectionClosed):
            for number in range(1_000):
                query = f"subscription {{ a{number}: installationEvents {{ installation {{ id }} }} }}"
                await socket.send(json.dumps({"type": "subscribe", "id": "a", "payload": {"query": query}}))
                await socket.send('{"type": "complete", "id": "a"}')
            await socket.send('{"type": "end"}')
        return await until_closed(socket)


@attack(WEBSOCKETS, "4400", "1008", "1013", "4429")
async def ten_thousand_subscriptions_on_one_socket(attacker: Attacker) -> set[str]:
    async with attacker.socket(key=attacker.account_key) as socket:
        reading = asyncio.create_task(until_closed(socket))
        with suppress(ConnectionClosed):
            for number in range(10_000):
                payload = {"query": "subscription { installationEvents { id } }"}
                await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": payload}))
            await socket.send('{"type": "end"}')
        return await reading


@attack(WEBSOCKETS, "4400", "QUERY_TOO_COMPLEX")
async def a_subscription_that_runs_a_query_for_each_event(attacker: Attacker) -> set[str]:
    start = await _first_cursor(attacker)
    query = f'subscription {{ installationEvents(after: "{start}") {{ installation {COSTLY} }} }}'
    return await _first_payloads(attacker, [query], count=10)


@attack(WEBSOCKETS, "4400", "QUERY_TOO_COMPLEX", "4429", "1013")
async def many_subscriptions_from_the_start_of_the_log(attacker: Attacker) -> set[str]:
    start = await _first_cursor(attacker)
    queries = [
        f'subscription {{ a{number}: installationEvents(after: "{start}") {{ id installation {{ id metadata }} }} }}'
        for number in range(100)
    ]
    return await _first_payloads(attacker, queries, count=5_000)


async def _first_cursor(attacker: Attacker, *, key: str | None = None) -> str:
    query = "{ installationEvents(first: 1) { nodes { cursor } } }"
    data = await attacker.data(query, key=key or attacker.account_key)
    cursor: str = data["installationEvents"]["nodes"][0]["cursor"]
    return cursor


async def _first_payloads(attacker: Attacker, queries: list[str], *, count: int, key: str | None = None) -> set[str]:
    """Receive so many messages, or all errors; then end the connection, and return the codes."""
    async with attacker.socket(key=key or attacker.account_key) as socket:
        for number, query in enumerate(queries):
            message = {"type": "subscribe", "id": f"{number}", "payload": {"query": query}}
            await socket.send(json.dumps(message))
        codes: set[str] = set()
        failed = 0
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for _ in range(count):
                    message = json.loads(await socket.recv())
                    if message["type"] == "error":
                        codes |= {error["extensions"]["code"] for error in message["payload"]}
                        failed += 1
                        if failed == len(queries):
                            break
        with suppress(ConnectionClosed):
            await socket.send('{"type": "end"}')
        return codes | await until_closed(socket)


@attack(WEBSOCKETS, "OK", "4400", "QUERY_TOO_COMPLEX", "4429", "1013")
async def many_different_subscriptions_to_ones_own_writes(attacker: Attacker) -> set[str]:
    found: set[str] = set()
    data = await attacker.data("{ installations(first: 20) { nodes { id } } }", key=attacker.application_key)
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(attacker.socket(key=attacker.application_key)) for _ in range(5)]
        for place, socket in enumerate(sockets):
            for number in range(100):
                query = (
                    f"subscription {{ a{place}x{number}: installationEvents"
                    " { installation { id application { name } account { name } metadata } } }"
                )
                await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": {"query": query}}))
        await asyncio.sleep(1)
        for node in data["installations"]["nodes"]:
            found |= await attacker.post(
                f'mutation {{ updateInstallationMetadata(input: {{id: "{node["id"]}", change: {{merge: {{a: 1}}}}}})'
                " { __typename } }",
                key=attacker.application_key,
            )
        for socket in sockets:
            await socket.send('{"type": "end"}')
            found |= await until_closed(socket)
    return found


@attack(WEBSOCKETS, "4400", "4408", "4401", "ConnectionRefusedError", "InvalidMessage", "InvalidStatus", "1013")
async def sockets_that_are_never_initialised(attacker: Attacker) -> set[str]:
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(500):
            try:
                opened.append(await stack.enter_async_context(attacker.socket()))
            except Exception as error:  # noqa: BLE001 - whichever way it refuses
                return {type(error).__name__}
        await asyncio.sleep(1)
        await opened[-1].send('{"type": "end"}')
        return await until_closed(opened[-1])


@attack(WEBSOCKETS, "4400", "QUERY_TOO_COMPLEX", "1008", "1013", "4429")
async def queries_without_end(attacker: Attacker) -> set[str]:
    query = "{ viewer { account { installations(first: 20) { nodes { id status application { name } } } } } }"
    async with attacker.socket(key=attacker.account_key) as socket:
        reading = asyncio.create_task(until_closed(socket))
        with suppress(ConnectionClosed):
            for number in range(2_000):
                await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": {"query": query}}))
            await socket.send('{"type": "end"}')
        return await reading


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """Return a short frame of a client, masked with zeros."""
    return struct.pack("!BB4x", opcode | (0x80 if final else 0), 0x80 | len(payload)) + payload


async def _frames(attacker: Attacker, frames: bytes) -> set[str]:
    upgrade = (
        "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    async with attacker.connection() as (reader, writer):
        writer.write(upgrade.encode())
        await reader.readuntil(b"\r\n\r\n")
        with suppress(ConnectionError):
            writer.write(frames)
            reading = asyncio.create_task(reader.read())
            await writer.drain()
            writer.write(frame(0x8))
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionError):
                received = await reading
                code = received[received.rfind(b"\x88") :][2:4]
                return {str(int.from_bytes(code, "big")) if len(code) == 2 else "closed"}
        return {"closed"}


CLOSED = ("closed", "1000", "1002", "1005", "1008", "1009", "4400", "4401")


@attack(WEBSOCKETS, *CLOSED)
async def pings_of_the_protocol(attacker: Attacker) -> set[str]:
    return await _frames(attacker, frame(0x9) * 300_000)


@attack(WEBSOCKETS, *CLOSED)
async def empty_fragments_of_a_message(attacker: Attacker) -> set[str]:
    return await _frames(attacker, frame(0x1, final=False) + frame(0x0, final=False) * 300_000)


@attack(WEBSOCKETS, *CLOSED)
async def fragments_of_one_byte(attacker: Attacker) -> set[str]:
    return await _frames(attacker, frame(0x1, b"[", final=False) + frame(0x0, b"[", final=False) * 300_000)


@attack(WEBSOCKETS, *CLOSED)
async def empty_messages(attacker: Attacker) -> set[str]:
    return await _frames(attacker, frame(0x1) * 300_000)


@attack(WEBSOCKETS, "OK", "QUERY_TOO_COMPLEX", "1013", "4429")
async def answers_that_nobody_reads(attacker: Attacker) -> set[str]:
    """Twenty sockets ask for a hundred answers of a megabyte each, and read nothing."""
    query = "{ installations(first: 60) { nodes { metadata } } }"

    async def hold() -> None:
        async with attacker.socket(key=attacker.large_key) as socket:
            socket.transport.pause_reading()
            for number in range(100):
                await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": {"query": query}}))
            await asyncio.sleep(3)
            socket.transport.abort()

    await asyncio.gather(*(hold() for _ in range(20)))
    return {"OK"}


@attack(WEBSOCKETS, "OK", "QUERY_TOO_COMPLEX", "1013", "4429")
async def events_that_nobody_reads(attacker: Attacker) -> set[str]:
    """Each of a hundred subscriptions of a socket begins at the start of the log."""
    start = await _first_cursor(attacker, key=attacker.large_key)

    async def hold() -> None:
        async with attacker.socket(key=attacker.large_key) as socket:
            socket.transport.pause_reading()
            for number in range(100):
                query = f'subscription {{ installationEvents(after: "{start}") {{ installation {{ metadata }} }} }}'
                await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": {"query": query}}))
            await asyncio.sleep(3)
            socket.transport.abort()

    await asyncio.gather(*(hold() for _ in range(5)))
    return {"OK"}


@attack(WEBSOCKETS, "OK", "1009", "1008", "1013", "4429")
async def messages_that_do_not_end(attacker: Attacker) -> set[str]:
    """Each socket has received all but the last byte of the largest message that there may be."""

    async def fragments() -> AsyncIterator[str]:
        yield '"' + "a" * 990_000
        await asyncio.sleep(3)

    async def hold() -> None:
        with suppress(ConnectionClosed):
            async with attacker.socket(key=attacker.account_key) as socket:
                await socket.send(fragments())

    await asyncio.gather(*(hold() for _ in range(200)))
    return {"OK"}


@attack(WEBSOCKETS, "4400", "QUERY_TOO_COMPLEX", "4429", "1013")
async def long_subscriptions_that_differ(attacker: Attacker) -> set[str]:
    """An open subscription keeps its document, whatever the cache of documents forgets."""
    found: set[str] = set()
    async with AsyncExitStack() as stack:
        for place in range(4):
            socket = await stack.enter_async_context(attacker.socket(key=attacker.account_key))
            for number in range(100):
                names = " ".join(f"a{n}x{place}x{number}: id" for n in range(90))
                query = f"subscription {{ installationEvents {{ installation {{ {names} }} }} }}"
                await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": {"query": query}}))
            await socket.send('{"type": "ping"}')
            while (message := json.loads(await socket.recv()))["type"] != "pong":
                found |= {error["extensions"]["code"] for error in message["payload"]}
    return found | {"4400"}


@attack(WEBSOCKETS, "4400", "QUERY_TOO_COMPLEX", "4429", "1013")
async def subscriptions_to_a_log_that_hides_its_beginning(attacker: Attacker) -> set[str]:
    start = await _first_cursor(attacker, key=attacker.application_key)
    queries = [f'subscription {{ a{n}: installationEvents(after: "{start}") {{ id }} }}' for n in range(100)]
    return await _first_payloads(attacker, queries, count=2_000, key=attacker.hidden_key)
