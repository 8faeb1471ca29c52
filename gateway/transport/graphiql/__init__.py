"""GraphiQL from the gateway's own files: no other machine is asked for anything."""

from gateway.transport.graphiql.bundles import Bundle, load_bundle
from gateway.transport.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.transport.graphiql.page import ExampleTab, GraphiQL, PrefilledKey

__all__ = [
    "Bundle",
    "ExampleSubjects",
    "ExampleTab",
    "GraphiQL",
    "PrefilledKey",
    "load_bundle",
    "workflow_tabs",
]
