"""Writers that change installations: over HTTP, or in this process through the use cases."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.domain.errors import TimedOut, Unavailable
from gateway.domain.installations import Installation
from gateway.usecases.installations import merge_into_metadata
from tests.live.dataset import PLATFORM, Dataset
from tests.serving import NO_CERTIFICATES

PAUSE_SECONDS = 0.05
MUTATIONS = {
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
class WriteResults:
    """The changes of all writers: the versions of installations in the answers."""

    wanted: int
    answered: set[tuple[str, int]] = field(default_factory=set)
    failures: int = 0
    """Changes whose outcome is unknown."""

    @property
    def full(self) -> bool:
        return len(self.answered) >= self.wanted

    def progress(self) -> float:
        return len(self.answered) / self.wanted


async def write_over_http(dataset: Dataset, results: WriteResults, *, urls: Sequence[str], seed: int) -> None:
    """Change installations at one gateway; after a failure, at the next one."""
    chance = random.Random(seed)
    turn, headers = seed, {"Authorization": f"Bearer {dataset.secret}"}
    async with httpx.AsyncClient(verify=NO_CERTIFICATES, headers=headers, timeout=10) as http:
        while not results.full:
            name, given = _random_mutation(chance.choice(dataset.written), chance)
            body = {"query": MUTATIONS[name], "variables": {"input": given}}
            answer = await _answer(http, urls[turn % len(urls)], body)
            if answer is None:
                results.failures += 1
                turn += 1
                await asyncio.sleep(PAUSE_SECONDS)
            elif answer["__typename"] == "Installation":
                results.answered.add((answer["id"], answer["version"]))
            else:
                assert answer["__typename"] == "ActionNotAllowed", answer


async def _answer(http: httpx.AsyncClient, url: str, body: Any) -> Any:
    """Return the outcome; None where the gateway or its database is unavailable."""
    try:
        answer = (await http.post(url, json=body)).json()
    except httpx.TransportError:
        return None
    for error in answer.get("errors", ()):
        assert error["extensions"]["code"] in {"UNAVAILABLE", "TIMEOUT"}, error
        return None
    return answer["data"]["outcome"]


def _random_mutation(installation: Installation, chance: random.Random) -> tuple[str, dict[str, Any]]:
    name = chance.choice([*MUTATIONS, *["updateInstallationMetadata"] * 4])
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


async def write_here(dataset: Dataset, results: WriteResults, *, seed: int) -> None:
    """Change installations through the use cases, as a gateway does."""
    chance = random.Random(seed)
    while not results.full:
        one = chance.choice(dataset.written)
        patch = {"seen": chance.random()}
        try:
            changed = await merge_into_metadata(
                dataset.services, PLATFORM, installation_id=one.id, patch=patch, expected_version=None
            )
        except (Unavailable, TimedOut):
            results.failures += 1
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            results.answered.add((str(changed.id), changed.version))
            await asyncio.sleep(0)
