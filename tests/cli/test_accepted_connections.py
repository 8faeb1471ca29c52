"""How many connections `gateway serve` accepts, within its limit of file descriptors, and what it logs about them."""

import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.cli import log_throttle
from gateway.cli.log_throttle import LogThrottle
from tests.cli.processes import serving, wait_until

DESCRIPTORS = 300
QUERY = "{ installations { totalCount } }"


@contextmanager
def open_files(soft: int) -> Iterator[None]:
    """Allow this process so many."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2_000, reason="the limit here is too low")
def test_more_connections_than_descriptors_leave_callers_served(demo_url: str, secret: str, log: Path) -> None:
    with ExitStack() as stack:
        arguments = {"DATABASE_URL": demo_url, "GATEWAY_METRICS": "on", "GATEWAY_MAX_CALLER_CONNECTIONS": "60"}
        served = stack.enter_context(serving(log=log, descriptors=DESCRIPTORS, **arguments))
        stack.enter_context(open_files(2_000))
        parts = urlsplit(served.url)
        for _ in range(600):
            stack.enter_context(socket.create_connection((str(parts.hostname), int(parts.port or 0))))
        assert "installations" in served.data(QUERY, secret)
        assert served.get("/healthz").status_code == httpx.codes.OK
        metrics = served.get("/metrics").text
        (closed,) = [line for line in metrics.splitlines() if 'closed_total{reason="too_many"}' in line]
        assert float(closed.split()[1]) >= 480
        limits = Path(f"/proc/{served.process.pid}/limits")
        if limits.exists():
            (line,) = [line for line in limits.read_text().splitlines() if line.startswith("Max open files")]
            assert int(line.split()[3]) >= 2 * 60 + 600, "the soft limit was raised"
    assert served.logged == ""


def test_lines_that_clients_cause_are_logged_once_a_second(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("tests.throttled")
    logger.addFilter(LogThrottle())
    for number in range(1_000):
        logger.warning("Refused %d", number)
        logger.warning("Another")
    assert caplog.messages == ["Refused 0", "Another"]
    monkeypatch.setattr(log_throttle, "SECONDS", 0)
    logger.warning("Refused %d", 1_000)
    assert caplog.messages[2:] == ["Refused 1000 (and 999 more like this)"]


def test_malformed_requests_are_counted_and_not_logged(demo_url: str, log: Path) -> None:
    with serving(log=log, DATABASE_URL=demo_url, GATEWAY_METRICS="on") as served:
        parts = urlsplit(served.url)
        for _ in range(50):
            with socket.create_connection((str(parts.hostname), int(parts.port or 0))) as connection:
                connection.sendall(b"\x16\x03\x01\x00")
                assert connection.recv(100).startswith(b"HTTP/1.1 400")
        wait_until(lambda: 'closed_total{reason="malformed"} 50.0' in served.get("/metrics").text)
    assert served.logged == ""
