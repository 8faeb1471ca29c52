"""Runs commands as processes; each has a deadline."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.gateway_process import GatewayCommand
from tests.serving import NO_CERTIFICATES

WITHIN_SECONDS = 60
"""On a busy machine; on an idle one a command takes two seconds."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    status: int
    output: str
    errors: str


def environment(**more: str) -> dict[str, str]:
    """Return this process' environment without the settings of a gateway, and with these variables."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_URL"))}
    return {**ours, **more}


def command(arguments: Sequence[str | Path]) -> list[str]:
    return [sys.executable, "-m", "gateway", *map(str, arguments)]


@dataclass(kw_only=True)
class Serving:
    """A running `gateway serve`."""

    process: "GatewayCommand | subprocess.Popen[str]"
    log: Path
    printed: str = ""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(verify=NO_CERTIFICATES, timeout=WITHIN_SECONDS))

    @property
    def url(self) -> str:
        found = re.search(r"http://\S+/graphql", self.printed)
        assert found is not None, self.printed
        return found[0]

    @property
    def page(self) -> str:
        """The address of GraphiQL with the token, as it printed it."""
        found = re.search(r"http://\S+/graphql#token=\S+", self.printed)
        assert found is not None, self.printed
        return found[0]

    @property
    def keys(self) -> dict[str, str]:
        """The keys that it printed, by kind."""
        return dict(re.findall(r"^ +(platform|application|account) +(igw_\S+)", self.printed, re.MULTILINE))

    @property
    def logged(self) -> str:
        return self.log.read_text()

    def get(self, path: str) -> httpx.Response:
        return self.http.get(self.url.replace("/graphql", path))

    def post(self, query: str, key: str, **variables: Any) -> httpx.Response:
        body = {"query": query, "variables": variables}
        return self.http.post(self.url, json=body, headers={"Authorization": f"Bearer {key}"})

    def data(self, query: str, key: str, **variables: Any) -> Any:
        answer = self.post(query, key, **variables).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def stop(self, number: int = signal.SIGINT, *, within: float = WITHIN_SECONDS) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(within)


@contextmanager
def serving(*arguments: str | Path, log: Path, descriptors: int | None = None, **variables: str) -> Iterator[Serving]:
    """Serve on a free port until the context ends."""
    with starting(*arguments, log=log, descriptors=descriptors, **variables) as process:
        printed = "".join(until_ready(process.output))
        assert "Ctrl-C stops it." in printed, log.read_text()
        one = Serving(process=process, log=log, printed=printed)
        with one.http:
            yield one


@contextmanager
def starting(
    *arguments: str | Path, log: Path, descriptors: int | None = None, **variables: str
) -> Iterator[GatewayCommand]:
    """Start `gateway serve`."""
    log.write_text("")
    process = GatewayCommand(
        ["serve", "--port", "0", *arguments], environment=environment(**variables), errors=log, descriptors=descriptors
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WITHIN_SECONDS)


def until_ready(output: Iterable[str]) -> Iterator[str]:
    """Yield the lines that `gateway serve` prints."""
    for line in output:
        yield line
        if line.startswith("Ctrl-C"):
            return


def wait_until(condition: Callable[[], bool], *, within: float = WITHIN_SECONDS) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.01)
