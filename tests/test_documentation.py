"""The pages for readers name files, functions, tests, metrics and settings that exist."""

import ast
import re
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from gateway.feed.stats import FeedStats
from gateway.transport.connections import ConnectionRegistry
from gateway.transport.http.metrics import OperationMetrics, scraped_metrics

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        *ROOT.glob(".github/**/*.md"),
        *(ROOT / name / "README.md" for name in ("gateway", "sql", "tests")),
    ]
)
PATHS = (ROOT / "gateway/README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / ".github/docs/operations.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| (\d+) \| `([^`]+)` \| `([^`]+)` \|", PATHS, re.MULTILINE)


def names_in(path: Path) -> set[str]:
    """Return the functions and classes of a file, methods with the names of their classes."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            members = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            names |= {node.name, *(f"{node.name}.{member.name}" for member in members)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize(("number", "file", "function"), STEPS)
def test_steps_of_the_paths_name_functions_that_exist(number: str, file: str, function: str) -> None:
    assert int(number) <= 15
    assert function in names_in(ROOT / "gateway" / file)


def test_paths_of_a_query_a_mutation_and_an_event_are_documented() -> None:
    assert len(STEPS) > 30


def test_contributing_names_files_and_tests_that_exist() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py"))
    for name in re.findall(r"`(test_\w+)`", CONTRIBUTING):
        assert f"def {name}(" in sources, name
    for path in re.findall(r"`((?:gateway|sql|tests)/[\w/.]+)`", CONTRIBUTING):
        assert (ROOT / path).exists(), path


def test_operations_page_has_every_metric() -> None:
    metrics: list[Metric] = [
        *scraped_metrics(FeedStats(), registry=ConnectionRegistry(), pool_usage=lambda: (0, 0)),
        *OperationMetrics().registry.collect(),
    ]
    names = {metric.name + ("_total" if metric.type == "counter" else "") for metric in metrics} | {
        "gateway_build_info"
    }
    assert names == set(re.findall(r"`(gateway_[a-z_]+)`", OPERATIONS.split("\n## Metrics\n")[1]))


def test_settings_that_the_pages_name_exist() -> None:
    known = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / ".github/docs/settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for page in PAGES:
        named = set(re.findall(r"`(GATEWAY_\w+)[=`]", page.read_text(encoding="utf-8")))
        assert named <= known, page
