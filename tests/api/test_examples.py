"""The documents in GraphiQL's page, and those of the benchmarks, are valid on the schema."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from graphql import build_schema, parse, validate
from graphql.execution.values import get_variable_values
from graphql.language import FieldNode, OperationDefinitionNode

from gateway.schema.schema import print_sdl
from gateway.transport.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.transport.graphiql.page import ExampleTab
from tests.benchmarks import cost_documents, deliveries, execution
from tests.live.subscribers import EVENTS

SUBJECTS = ExampleSubjects(
    application_id=uuid4(),
    application_slug="bookwell",
    account_id=uuid4(),
    installation_id=uuid4(),
    api_key_application_id=uuid4(),
)
SCHEMA = build_schema(print_sdl())
LIVE = Path(__file__).parents[2] / "gateway" / "transport" / "graphiql" / "source" / "live.jsx"


@pytest.mark.parametrize("tab", workflow_tabs(SUBJECTS), ids=lambda tab: tab.title)
def test_each_tab_is_valid_with_its_variables(tab: ExampleTab) -> None:
    document = parse(tab.query)
    assert validate(SCHEMA, document) == []
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), dict(tab.variables))
    assert not isinstance(values, list), values


WITHOUT_TAB = {
    "registerApplication",
    "updateApplication",
    "registerAccount",
    "issueApiKey",
    "revokeApiKey",
    "reportInstallationConnection",
}
"""Mutations of the operator, and one whose effect shows only when it is repeated."""


def test_each_mutation_of_the_workflow_has_a_tab() -> None:
    assert SCHEMA.mutation_type is not None
    documents = [parse(tab.query).definitions[0] for tab in workflow_tabs(SUBJECTS)]
    fields = {
        selection.name.value
        for document in documents
        if isinstance(document, OperationDefinitionNode)
        for selection in document.selection_set.selections
        if isinstance(selection, FieldNode)
    }
    assert set(SCHEMA.mutation_type.fields) - fields == WITHOUT_TAB


def test_live_panel_subscription_is_valid() -> None:
    document = re.search(r"const DOCUMENT = `(.*?)`;", LIVE.read_text(), re.DOTALL)
    assert document is not None
    assert validate(SCHEMA, parse(document[1])) == []


def test_live_panel_shows_every_type_of_event() -> None:
    shown = LIVE.read_text()
    events = {one.name for one in SCHEMA.get_possible_types(SCHEMA.type_map["InstallationEvent"])}  # type: ignore[arg-type]  # an interface
    assert {event for event in events if f'"{event}"' not in shown} == {"InstallationAuthorizationRenewed"}


def test_documents_of_the_benchmarks_are_valid() -> None:
    rows = [SimpleNamespace(id=uuid4()) for _ in range(100)]
    dataset: Any = SimpleNamespace(applications=rows, accounts=rows, installations=rows)
    written = [text for _, text in cost_documents.written_documents(dataset)]
    others = [execution._POINT, execution._PAGE, execution._NESTED, str(deliveries._REQUEST.query), EVENTS]
    for document in written + others:
        assert validate(SCHEMA, parse(document)) == [], document
