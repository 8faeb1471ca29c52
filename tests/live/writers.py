"""Clients that change installations: over HTTP as everybody does, or in this process through the use cases."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.installations import Installation
from gateway.usecases.installations import merge_into_metadata
from tests.live.worlds import PLATFORM, World

PAUSE_SECONDS = 0.05
DEEDS = {
    name: f"""mutation ($input: {name[0].upper()}{name[1:]}Input!) {{
  outcome: {name}(input: $input) {{ __typename ... on Installation {{ id version }} ... on Error {{ message }} }}
}}"""
    for name in (
        "updateInstallationMetadata",
        "deactivateInstallation",
        "authorizeInstallation",
        "startInstallationSync",
        "reportInstallationSyncProgress",
        "finishInstallationSync",
        "reportInstallationConnection",
    )
}


@dataclass(kw_only=True)
class Ledger:
    """What all writers together were told to have done: versions of installations that they were answered."""

    wanted: int
    answered: set[tuple[str, int]] = field(default_factory=set)
    failures: int = 0
    """Changes of which nobody knows whether they happened."""

    @property
    def full(self) -> bool:
        return len(self.answered) >= self.wanted

    def progress(self) -> float:
        return len(self.answered) / self.wanted


async def write_over_http(world: World, ledger: Ledger, *, urls: Sequence[str], seed: int) -> None:
    """Change at one gateway, and where that fails at the next."""
    chance = random.Random(seed)
    turn = seed
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {world.secret}"}, timeout=10) as http:
        while not ledger.full:
            name, given = _deed(chance.choice(world.busy), chance)
            body = {"query": DEEDS[name], "variables": {"input": given}}
            answer = await _answer(http, urls[turn % len(urls)], body)
            if answer is None:
                ledger.failures += 1
                turn += 1
                await asyncio.sleep(PAUSE_SECONDS)
            elif answer["__typename"] == "Installation":
                ledger.answered.add((answer["id"], answer["version"]))
            else:
                assert answer["__typename"] == "ActionNotAllowed", answer


async def _answer(http: httpx.AsyncClient, url: str, body: Any) -> Any:
    """Answer the outcome; None where the gateway is not there, or says that its database is not."""
    try:
        answer = (await http.post(url, json=body)).json()
    except httpx.TransportError:
        return None
    for error in answer.get("errors", ()):
        assert error["extensions"]["code"] in {"UNAVAILABLE", "TIMEOUT"}, error
        return None
    return answer["data"]["outcome"]


def _deed(installation: Installation, chance: random.Random) -> tuple[str, dict[str, Any]]:
    name = chance.choice([*DEEDS, *["updateInstallationMetadata"] * 4])
    given: dict[str, Any] = {"id": str(installation.id)}
    match name:
        case "updateInstallationMetadata":
            given["change"] = {"merge": {"seen": chance.random()}}
        case "authorizeInstallation":
            given = {"applicationId": str(installation.application_id), "accountId": str(installation.account_id)}
        case "reportInstallationSyncProgress":
            given["steps"] = [{"name": "vendors", "done": chance.randrange(1000)}]
        case "finishInstallationSync":
            given["outcome"] = "SUCCEEDED"
        case "reportInstallationConnection":
            given["succeeded"] = chance.random() < 0.5
    return name, given


async def write_here(world: World, ledger: Ledger, *, seed: int) -> None:
    """Change through the use cases, as a gateway does."""
    chance = random.Random(seed)
    while not ledger.full:
        one = chance.choice(world.busy)
        patch = {"seen": chance.random()}
        try:
            changed = await merge_into_metadata(
                world.services, PLATFORM, installation_id=one.id, patch=patch, expected_version=None
            )
        except (Unavailable, TimedOut):
            ledger.failures += 1
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            ledger.answered.add((str(changed.id), changed.version))
            await asyncio.sleep(0)
