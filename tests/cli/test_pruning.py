"""`gateway events prune`."""

from argparse import ArgumentTypeError
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.arguments import read_duration
from tests.cli.conftest import Run
from tests.cli.processes import Serving, serving

EVENTS = "query E($after: String) { installationEvents(first: 1, after: $after) { edges { cursor } } }"
LIVING = "{ installations { totalCount } }"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(weeks=2)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
        ("P90D", timedelta(days=90)),
        ("PT12H", timedelta(hours=12)),
        ("P1W", timedelta(weeks=1)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    assert read_duration(text) == duration


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5d", "P", "PT", "P1DT", "P1Y", "P1M", "PT0S", "1d 2h"])
def test_other_durations_are_refused(text: str, run: Run) -> None:
    with pytest.raises(ArgumentTypeError):
        read_duration(text)
    refused = run("events", "prune", f"--older-than={text}")
    assert (refused.status, f"{text!r} is no duration; write it as in 90d" in refused.errors) == (2, True)


def first_cursor(served: Serving, secret: str) -> str:
    cursor: str = served.data(EVENTS, secret)["installationEvents"]["edges"][0]["cursor"]
    return cursor


def codes(served: Serving, secret: str, after: str) -> list[Any]:
    errors = served.post(EVENTS, secret, after=after).json().get("errors", ())
    return [error["extensions"]["code"] for error in errors]


def test_old_events_are_removed_while_a_gateway_runs(demo_url: str, secret: str, log: Path, run: Run) -> None:
    with serving(log=log, DATABASE_URL=demo_url) as served:
        old, living = first_cursor(served, secret), served.data(LIVING, secret)
        nothing = run("events", "prune", "--older-than", "3650d", DATABASE_URL=demo_url)
        assert nothing.output.startswith("removed 0 events from before ")
        pruned = run("events", "prune", "--older-than", "P40D", DATABASE_URL=demo_url)
        assert int(pruned.output.split()[1]) > 2
        assert codes(served, secret, old) == ["CURSOR_EXPIRED"]
        assert codes(served, secret, first_cursor(served, secret)) == []
        assert served.data(LIVING, secret) == living
        assert run("events", "prune", "--older-than", "40d", DATABASE_URL=demo_url).output.startswith("removed 0 ")
