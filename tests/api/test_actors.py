"""The actor of an event: others than the platform see its id and label only where they are their own."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.domain.principals import PrincipalKind
from gateway.usecases.expiry import expire_due_installations
from gateway.usecases.services import utc_now
from tests.api.conftest import Client, Served

ACTOR = "actor { kind principalId label }"
QUERY = f"""query ($id: ID!) {{
  installation(id: $id) {{ history {{ nodes {{ {ACTOR} }} edges {{ node {{ {ACTOR} }} }} }} }}
  installationEvents {{ nodes {{ {ACTOR} }} edges {{ node {{ {ACTOR} }} }} }}
}}"""
OWN_KINDS = {
    "platform": set(PrincipalKind.__members__),
    "application": {"APPLICATION"},
    "bound application": {"APPLICATION"},
    "account": {"ACCOUNT"},
}
"""The kinds of actors whose id and label a caller sees; written by hand."""


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log with a change of status by every kind of actor, and a client of every kind of caller."""

    start: str
    living: str
    """An installation that is not deleted; its events come first."""
    callers: dict[str, Client]


async def written_log(served: Served) -> Log:
    application, account = await served.application(requires_configuration=True), await served.account()
    callers = {
        "platform": await served.platform(),
        "application": await served.of_application(application),
        "bound application": await served.of_application(application, account=account),
        "account": await served.of_account(account),
    }
    start = (await callers["platform"].data("{ eventCursor }"))["eventCursor"]

    async def act(caller: str, name: str, **given: Any) -> str:
        kind = name[0].upper() + name[1:]
        deletes = name == "deleteInstallation"
        shown = "... on DeletedInstallation { id: deletedInstallationId }" if deletes else "... on Installation { id }"
        query = f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ {shown} }} }}"
        installation: str = (await callers[caller].data(query, input=given))[name]["id"]
        return installation

    pair = {"applicationId": str(application.id), "accountId": str(account.id)}
    deleted = await act("platform", "authorizeInstallation", **pair)
    await act("account", "deleteInstallation", id=deleted)
    expiry = (utc_now() + timedelta(days=1)).isoformat()
    living = await act("platform", "authorizeInstallation", **pair, expiresAt=expiry)
    await act("application", "activateInstallation", id=living)
    await act("bound application", "startInstallationSync", id=living)
    later = utc_now() + timedelta(days=2)
    assert await expire_due_installations(replace(served.services, now=lambda: later)) == 1
    return Log(start=start, living=living, callers=callers)


def actors_in(answer: Any) -> list[dict[str, Any]]:
    """Return all actors of an answer, in the order in which they stand there."""
    match answer:
        case {"actor": actor}:
            return [actor]
        case dict():
            return [actor for value in answer.values() for actor in actors_in(value)]
        case list():
            return [actor for value in answer for actor in actors_in(value)]
        case _:
            return []


def seen_by(caller: str, actor: dict[str, Any]) -> dict[str, Any]:
    return actor if actor["kind"] in OWN_KINDS[caller] else {"kind": actor["kind"], "principalId": None, "label": None}


async def test_id_and_label_of_an_actor_are_shown_where_they_are_the_callers_own(served: Served) -> None:
    log = await written_log(served)
    everything = actors_in(await log.callers["platform"].data(QUERY, id=log.living))
    assert {actor["kind"] for actor in everything} == {kind.value for kind in PrincipalKind}
    assert all(actor["label"] for actor in everything)
    assert {actor["kind"] for actor in everything if actor["principalId"] is None} == {"SYSTEM"}
    for caller, client in log.callers.items():
        assert actors_in(await client.data(QUERY, id=log.living)) == [seen_by(caller, one) for one in everything]


@pytest.mark.parametrize("name", ["installationStatusChanged", "installationEvents"])
async def test_subscribers_to_the_same_events_see_their_own_view_of_each_actor(served: Served, name: str) -> None:
    log = await written_log(served)
    query = f"subscription ($after: String) {{ {name}(after: $after) {{ {ACTOR} }} }}"
    received = {}
    for caller, client in log.callers.items():
        async with client.subscription(query, after=log.start) as events:
            received[caller] = actors_in(await events.take(6))
    assert {actor["kind"] for actor in received["platform"]} == {kind.value for kind in PrincipalKind}
    for caller, actors in received.items():
        assert actors == [seen_by(caller, one) for one in received["platform"]]
