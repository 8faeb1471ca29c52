"""GraphiQL from the gateway's own files: no other machine is asked for anything."""

from gateway.web.graphiql.bundles import Bundle, BundleMissing, load_bundle
from gateway.web.graphiql.examples import ExampleSubjects, workflow_tabs
from gateway.web.graphiql.page import ExampleTab, GraphiQL, PrefilledKey, wants_page

__all__ = [
    "Bundle",
    "BundleMissing",
    "ExampleSubjects",
    "ExampleTab",
    "GraphiQL",
    "PrefilledKey",
    "load_bundle",
    "wants_page",
    "workflow_tabs",
]
