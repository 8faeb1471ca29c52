"""What callers usually do stays within the default limits of every kind of caller."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Container, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import websockets
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    build_schema,
    get_named_type,
    is_leaf_type,
    is_list_type,
)
from graphql.type import get_nullable_type

from gateway.demo.catalogue import APPLICATIONS, ExampleApplication
from gateway.demo.loading import load_example_data
from gateway.demo.scenarios import UNFINISHED_EXAMPLE
from gateway.domain.installations import (
    Account,
    Application,
    AuthorizationMethod,
    Installation,
    InstallationStatus,
    Sync,
    SyncState,
    SyncStep,
)
from gateway.domain.principals import PrincipalKind
from gateway.schema.schema import print_sdl
from gateway.settings import Settings
from gateway.transport.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.usecases.installations import authorize_installation
from gateway.usecases.services import utc_now
from tests.api.conftest import PLATFORM, Client, Served, serving_gateway
from tests.api.marketplace_rows import BEGINNING, example, place
from tests.conftest import MakeDatabase
from tests.serving import DEADLINE

SCHEMA = build_schema(print_sdl())
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
REFUSALS = {"QUERY_TOO_COMPLEX", "RATE_LIMITED", "RESPONSE_TOO_LARGE", "TIMEOUT"}
KINDS = ("platform", "application", "application of one account", "account")
APPLICATION, ACCOUNT = UNFINISHED_EXAMPLE.application, UNFINISHED_EXAMPLE.account
INSTALLATION_ID = UNFINISHED_EXAMPLE.installation_id
SUBJECTS = ExampleSubjects(
    application_id=APPLICATION.id,
    application_slug=APPLICATION.slug,
    account_id=ACCOUNT.id,
    installation_id=UNFINISHED_EXAMPLE.installation_id,
    api_key_application_id=next(
        one.id for one in APPLICATIONS if one.authorization_method is AuthorizationMethod.API_KEY
    ),
)
ONE_EACH_SECOND = 60
"""Operations in a minute."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """An operation, and how often in a minute a caller may want to run it."""

    name: str
    query: str
    variables: dict[str, Any]
    times: int

    def __str__(self) -> str:
        return self.name


def of_readme() -> Iterator[Work]:
    for number, body in enumerate(re.findall(r"-d '(\{.*?\})'", README, re.DOTALL)):
        request = json.loads(body)
        yield Work(
            name=f"README {number}", query=request["query"], variables=request.get("variables", {}),
            times=ONE_EACH_SECOND,
        )  # fmt: skip


def of_graphiql() -> Iterator[Work]:
    """The installation is deleted by none, since the next kind of caller reads it: that tab gets another id."""
    for tab in workflow_tabs(SUBJECTS):
        given = {"input": {"id": str(uuid4())}} if tab.title == "Delete" else dict(tab.variables)
        yield Work(name=tab.title, query=tab.query, variables=given, times=ONE_EACH_SECOND)


Composite = GraphQLObjectType | GraphQLInterfaceType


def everything(named: Composite, *, levels: int = 1, without: Container[str] = ()) -> str:
    """Select all fields of a type and of the objects so many levels down, except for pages of further lists."""
    selected = []
    for name, field in named.fields.items():
        type_ = get_named_type(field.type)
        if field.args or name in without:
            continue
        if is_leaf_type(type_):
            selected.append(name)
        elif isinstance(type_, Composite) and (levels or is_list_type(get_nullable_type(field.type))):
            selected.append(f"{name} {{ {everything(type_, levels=levels - 1)} }}")
    if isinstance(named, GraphQLInterfaceType):
        selected += [
            f"... on {possible.name} {{ {everything(possible, levels=levels, without=named.fields)} }}"
            for possible in SCHEMA.get_possible_types(named)
        ]
    return " ".join(selected)


def all_of(type_name: str) -> str:
    named = SCHEMA.type_map[type_name]
    assert isinstance(named, Composite)
    return f"__typename {everything(named)}"


def page(field: str, type_name: str, *, more: str = "") -> str:
    cursors = "hasNextPage hasPreviousPage startCursor endCursor"
    return f"{field} {{ nodes {{ {all_of(type_name)} }} pageInfo {{ {cursors} }} {more} }}"


COUNTS = "totalCount statusCounts { status count }"
INSTALLATIONS = page("installations(first: 100)", "Installation", more=COUNTS)
OPERATIONS = [
    Work(
        name="a point query", times=10 * ONE_EACH_SECOND, variables={"id": str(INSTALLATION_ID)},
        query="query ($id: ID!) { installation(id: $id) { id status metadata createdAt updatedAt allowedActions"
        " statusReason { code message since } application { name slug } account { name } } }",
    ),
    Work(name="everything of one", times=ONE_EACH_SECOND, variables={"id": str(INSTALLATION_ID)},
         query=f"query ($id: ID!) {{ installation(id: $id) {{ {all_of('Installation')} }} }}"),
    Work(
        name="a page of 20", times=2 * ONE_EACH_SECOND, variables={},
        query="{ installations { edges { cursor node { id status application { name } account { name } } }"
        " pageInfo { hasNextPage endCursor } } }",
    ),
    Work(name="everything of 100 installations", times=10, variables={}, query=f"{{ {INSTALLATIONS} }}"),
    Work(
        name="everything of an account's 100 installations", times=10, variables={"id": str(ACCOUNT.id)},
        query=f"query ($id: ID!) {{ account(id: $id) {{ id name {INSTALLATIONS} }} }}",
    ),
    Work(
        name="everything of an application's 100 installations", times=10, variables={"id": str(APPLICATION.id)},
        query=f"query ($id: ID!) {{ application(by: {{id: $id}}) {{ id name {INSTALLATIONS} }} }}",
    ),
    Work(name="everything of 100 applications", times=10, variables={},
         query=f"{{ {page('applications(first: 100)', 'Application', more='totalCount')} }}"),
    Work(name="everything of 100 events", times=10, variables={},
         query=f"{{ {page('installationEvents(first: 100)', 'InstallationEvent')} }}"),
    Work(
        name="a history", times=ONE_EACH_SECOND, variables={"id": str(INSTALLATION_ID)},
        query="query ($id: ID!) { installation(id: $id) { "
        + page("history(last: 100)", "InstallationEvent") + " } }",
    ),
    Work(
        name="100 objects by their ids", times=10, variables={"ids": [str(INSTALLATION_ID)] * 100},
        query=f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Installation {{ {all_of('Installation')} }} }} }}",
    ),
    *(work for work in (*of_readme(), *of_graphiql()) if "subscription" not in work.query),
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Gateway:
    served: Served
    clients: dict[str, Client]


@pytest.fixture(scope="module")
async def gateway(make_database: MakeDatabase) -> AsyncIterator[Gateway]:
    """Serve the example data, with 100 installations of its application, and 100 of its account."""
    async with make_database() as database_url, serving_gateway(database_url) as served:
        await load_example_data(served.services)
        accounts = [await served.account(f"Company {number}") for number in range(100)]
        applications = [await served.application(f"application-{number}") for number in range(100)]
        pairs = [(APPLICATION, account) for account in accounts] + [(one, ACCOUNT) for one in applications]
        await place(served, *(usual(*pair, number=number) for number, pair in enumerate(pairs)))
        ids = {"application_id": APPLICATION.id, "account_id": ACCOUNT.id}
        bounds: tuple[dict[str, UUID], ...] = ({}, {"application_id": APPLICATION.id}, ids, {"account_id": ACCOUNT.id})
        kinds = (PrincipalKind.PLATFORM, PrincipalKind.APPLICATION, PrincipalKind.APPLICATION, PrincipalKind.ACCOUNT)
        clients = [await served.key(kind, **bound) for kind, bound in zip(kinds, bounds, strict=True)]
        yield Gateway(served=served, clients=dict(zip(KINDS, clients, strict=True)))


def usual(application: ExampleApplication | Application, account: Account, *, number: int) -> Installation:
    """Make an activated installation with 1 KB of metadata and 10 steps of its last synchronisation."""
    plain = example(application, account, number=number)  # type: ignore[arg-type]  # only its id is used
    return replace(
        plain,
        status=InstallationStatus.ACTIVATED,
        metadata=json.dumps({"externalId": number, "ledger": {f"account {n}": n for n in range(50)}}),
        sync=Sync(
            state=SyncState.SUCCEEDED, started_at=BEGINNING, finished_at=BEGINNING, expires_at=None, lease_seconds=300,
            steps=tuple(SyncStep(name=f"step {n}", done=n, total=10) for n in range(10)), message=None,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_usual_operations_are_within_the_limits(gateway: Gateway, kind: str) -> None:
    """The cost of each is asked for, and multiplied by how often it is run in a minute."""
    client = gateway.clients[kind]
    rate = Settings().rates["application" if kind.startswith("application") else kind]  # type: ignore[index]  # a kind
    refused = {}
    for work in OPERATIONS:
        body = {"query": work.query, "variables": work.variables, "extensions": {"cost": True}}
        answer = (await client.http.post(client.url, json=body, headers=client.headers)).json()
        cost = answer.get("extensions", {}).get("cost", {}).get("estimated", 0)
        codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
        if codes & REFUSALS or (rate and cost * work.times > rate):
            refused[work.name] = cost, codes
    assert refused == {}


WATCHED = next(tab.query for tab in workflow_tabs(SUBJECTS) if tab.title == "Watch live")
ALL = "subscription ($after: String) { installationEvents(after: $after) { version } }"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_thousand_subscriptions_of_one_caller_are_within_the_limits(gateway: Gateway, kind: str) -> None:
    """On each of 10 sockets are 99 subscriptions to one installation each, and one to all events."""
    client = gateway.clients[kind]
    cursor = (await client.data("{ eventCursor }"))["eventCursor"]
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(subscribed(client, after=cursor)) for _ in range(10)]
        authorize = partial(authorize_installation, gateway.served.services, PLATFORM)
        await authorize(application_id=APPLICATION.id, account_id=ACCOUNT.id, expires_at=utc_now() + timedelta(days=1))
        async with asyncio.timeout(DEADLINE):
            for socket in sockets:
                message = json.loads(await socket.recv())
                assert (message["type"], message["id"]) == ("next", "all"), message


@asynccontextmanager
async def subscribed(client: Client, *, after: str) -> AsyncIterator[websockets.ClientConnection]:
    address, subprotocol = client.url.replace("http", "ws", 1), websockets.Subprotocol("graphql-transport-ws")
    async with websockets.connect(address, subprotocols=[subprotocol], proxy=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": client.headers}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        for number in range(99):
            variables = {"filter": {"installationIds": [f"018f0000-0000-4000-8000-{number:012}"]}}
            payload = {"query": WATCHED, "variables": variables}
            await socket.send(json.dumps({"type": "subscribe", "id": f"{number}", "payload": payload}))
        payload = {"query": ALL, "variables": {"after": after}}
        await socket.send(json.dumps({"type": "subscribe", "id": "all", "payload": payload}))
        yield socket
