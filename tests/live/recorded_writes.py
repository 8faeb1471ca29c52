"""Writers that record how each of their changes was answered, and the check of what they recorded against the database.

Each writer has a key of its own, by which the log says whose an event is, and one connection, on which its changes come
one after the other. A change that is not refused has exactly one event.
"""

import asyncio
import json
import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from gateway.domain.events import Event, EventKind
from gateway.domain.installations import Installation
from gateway.domain.metadata import decode_metadata
from gateway.domain.principals import PrincipalKind
from gateway.storage.database import connection
from gateway.storage.installations import select_installations
from gateway.usecases.api_keys import issue_key
from tests.api.log_invariants import broken_histories
from tests.live.dataset import PLATFORM, Dataset
from tests.postgres.event_rows import whole_log

PAUSE_SECONDS = 0.02
NEXT_STEP = {
    "AUTHORIZED": "activateInstallation",
    "ACTIVATED": "deactivateInstallation",
    "INACTIVE": "authorizeInstallation",
}
_CONFLICT = "... on VersionConflict { installation { version status } }"
MUTATIONS = {
    name: f"""mutation ($input: {name[0].upper()}{name[1:]}Input!) {{
  outcome: {name}(input: $input) {{ __typename ... on Installation {{ version status }} {conflict} }}
}}"""
    for name, conflict in {
        "updateInstallationMetadata": _CONFLICT,
        "activateInstallation": _CONFLICT,
        "deactivateInstallation": _CONFLICT,
        "authorizeInstallation": "",
    }.items()
}


@dataclass(kw_only=True, eq=False)
class RecordedWrite:
    """A change, and how it was answered."""

    installation_id: UUID
    of_metadata: bool
    expected_version: int | None
    version: int | None = None
    """The version after the change, as answered."""
    found_version: int | None = None
    """The version for which it was refused, as answered."""
    unavailable: bool = False
    """It was answered that the database is: its outcome is unknown."""

    @property
    def stored(self) -> bool:
        return self.version is not None

    @property
    def refused(self) -> bool:
        return self.found_version is not None

    @property
    def unknown(self) -> bool:
        return not self.stored and not self.refused

    def may_have_made(self, event: Event) -> bool:
        return (
            not self.refused
            and event.installation_id == self.installation_id
            and (event.change.kind is EventKind.METADATA_UPDATED) == self.of_metadata
            and self.expected_version in {None, event.version - 1}
            and self.version in {None, event.version}
        )


@dataclass(kw_only=True, eq=False)
class RecordingWriter:
    """Changes rows over one connection, and connects again when it is lost."""

    key_id: str
    secret: str
    rows: Sequence[Installation]
    states: dict[UUID, tuple[int, str]]
    """The version and the status of each row as any writer saw them last."""
    chance: random.Random
    writes: list[RecordedWrite] = field(default_factory=list)

    async def write(self, url: str) -> None:
        """Change rows until cancelled."""
        address = urlsplit(url)
        while True:
            try:
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                try:
                    while True:
                        write, body = self._next()
                        self.writes.append(write)
                        writer.write(self._request(address.netloc, body))
                        self._record(write, await _answer(reader))
                finally:
                    writer.close()
            except (OSError, EOFError):  # the gateway was killed
                await asyncio.sleep(PAUSE_SECONDS)

    def _next(self) -> tuple[RecordedWrite, Any]:
        row = self.chance.choice(self.rows)
        version, status = self.states[row.id]
        of_metadata = self.chance.random() < 0.6
        name = "updateInstallationMetadata" if of_metadata else NEXT_STEP[status]
        given: dict[str, Any] = {"id": str(row.id)}
        if of_metadata:
            given["change"] = {"replace": {"writer": self.key_id, "number": len(self.writes)}}
        if name == "authorizeInstallation":  # each time with another expiry, so that it always changes something
            expiry = datetime(2100, 1, 1, tzinfo=UTC) + timedelta(seconds=self.chance.randrange(10**9))
            pair = {"applicationId": str(row.application_id), "accountId": str(row.account_id)}
            given = {**pair, "expiresAt": expiry.isoformat()}
        elif not of_metadata or self.chance.random() < 0.3:
            given["expectedVersion"] = version
        body = {"query": MUTATIONS[name], "variables": {"input": given}}
        expected = given.get("expectedVersion")
        return RecordedWrite(installation_id=row.id, of_metadata=of_metadata, expected_version=expected), body

    def _request(self, host: str, body: Any) -> bytes:
        content = json.dumps(body).encode()
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.secret}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def _record(self, write: RecordedWrite, answer: Any) -> None:
        if "errors" in answer:
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAVAILABLE"], answer
            write.unavailable = True
            return
        found = outcome = answer["data"]["outcome"]
        if outcome["__typename"] == "Installation":
            write.version = found["version"]
        else:
            assert outcome["__typename"] == "VersionConflict", outcome
            found = outcome["installation"]
            write.found_version = found["version"]
        state = (found["version"], found["status"])
        self.states[write.installation_id] = max(state, self.states[write.installation_id])


async def _answer(reader: asyncio.StreamReader) -> Any:
    length = re.search(rb"content-length: *(\d+)", await reader.readuntil(b"\r\n\r\n"), re.IGNORECASE)
    assert length is not None
    return json.loads(await reader.readexactly(int(length[1])))


async def make_writers(dataset: Dataset, *, count: int, seed: int) -> list[RecordingWriter]:
    states = {row.id: (row.version, row.status.value) for row in dataset.installations}
    keys = [
        await issue_key(
            dataset.services,
            PLATFORM,
            kind=PrincipalKind.PLATFORM,
            application_id=None,
            account_id=None,
            label=f"writer {number}",
            expires_at=None,
        )
        for number in range(count)
    ]
    return [
        RecordingWriter(
            key_id=str(key.api_key.id),
            secret=key.secret,
            rows=dataset.installations,
            states=states,
            chance=random.Random(seed + number),
        )
        for number, key in enumerate(keys)
    ]


async def check_writes(dataset: Dataset, writers: Sequence[RecordingWriter]) -> None:
    """Fail where the database does not agree with itself, or with the answers."""
    log = await whole_log(dataset.services.database)
    async with connection(dataset.services.database) as held:
        assert await broken_histories(held) == []
        rows = await select_installations(held, ids=[row.id for row in dataset.installations])
    by_actor = defaultdict(list)
    for event in log:
        by_actor[event.actor.id].append(event)
    for writer in writers:
        _check_events(writer, by_actor[writer.key_id])
    _check_refusals(writers, log)
    _check_metadata(rows, {writer.key_id: writer for writer in writers}, log)


def _check_events(writer: RecordingWriter, events: Sequence[Event]) -> None:
    """Each answered change has its event, in the order of the answers; each other event is of an unknown change."""
    answered = {(write.installation_id, write.version): write for write in writer.writes if write.stored}
    unknown = [write for write in writer.writes if write.unknown]
    unknown.sort(key=lambda write: write.expected_version is None)  # first those that only one event can be of
    of_answered = []
    for event in events:
        place = (event.installation_id, event.version)
        if place in answered:
            assert answered[place].may_have_made(event), "answered with the version of another change"
            of_answered.append(place)
        else:
            makers = [write for write in unknown if write.may_have_made(event)]
            assert makers != [], "refused, but stored"
            unknown.remove(makers[0])
    assert of_answered == [*answered], "answered without being stored"


def _check_refusals(writers: Sequence[RecordingWriter], log: Sequence[Event]) -> None:
    """The version for which a change was refused is in the log, and is not the expected one."""
    logged = {(event.installation_id, event.version) for event in log}
    for write in (write for writer in writers for write in writer.writes if write.refused):
        assert write.found_version != write.expected_version
        assert (write.installation_id, write.found_version) in logged, "refused for what was not stored"


def _check_metadata(
    rows: Mapping[UUID, Installation], writers: Mapping[str | None, RecordingWriter], log: Sequence[Event]
) -> None:
    """Each row has the metadata of the change that its last such event is of."""
    last = {event.installation_id: event for event in log if event.change.kind is EventKind.METADATA_UPDATED}
    for installation_id, event in last.items():
        metadata = decode_metadata(rows[installation_id].metadata)
        assert metadata["writer"] == event.actor.id
        assert writers[event.actor.id].writes[metadata["number"]].may_have_made(event)
