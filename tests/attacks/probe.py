"""Another caller, in a process of its own: `python -m tests.attacks.probe PORT PID KEY`.

It asks for /healthz each 20 ms and runs a query each 100 ms, each over a new connection as probes and other clients do.
Each line of its input ends a period, and is answered by a line of JSON about it.

A delay is what it would be on an idle machine: the time in which the gateway or this process waited for a processor is
subtracted, as the kernel counts it.
"""

import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

HEALTH_PAUSE, QUERY_PAUSE = 0.02, 0.1
SECONDS = 60
QUERY = '{"query": "{ installations(first: 20) { nodes { id status application { name } } } }"}'
_KERNELS_UNIT = 1_000_000_000


class Probe:
    """Repeats one request, and keeps the slowest of a period."""

    def __init__(self, port: int, pid: int, request: bytes, *, expected: bytes, pause: float) -> None:
        self._address = ("127.0.0.1", port)
        self._gateway = Path(f"/proc/{pid}/schedstat")
        self._request = request
        self._expected = expected
        self._pause = pause
        self._lock = threading.Lock()
        self._delays: list[float] = []
        self._failures: list[str] = []
        threading.Thread(target=self._run, daemon=True).start()

    def period(self) -> dict[str, Any]:
        """Return what was measured since the last call, with the request that runs now."""
        with self._lock:  # held while a request runs
            found = {"slowest": max(self._delays, default=0.0), "count": len(self._delays), "failures": self._failures}
            self._delays, self._failures = [], []
            return found

    def _run(self) -> None:
        while True:
            with self._lock:
                started, waited = time.perf_counter(), self._waited()
                try:
                    answer = self._ask()
                except OSError as error:
                    answer = repr(error).encode()
                delay = time.perf_counter() - started
                self._delays.append(max(0.0, delay - (self._waited() - waited)))
                if self._expected not in answer:
                    self._failures.append(answer[:500].decode(errors="replace"))
            time.sleep(self._pause)

    def _ask(self) -> bytes:
        answer = b""
        with socket.create_connection(self._address, timeout=SECONDS) as connection:
            connection.sendall(self._request)
            while received := connection.recv(65536):
                answer += received
        return answer

    def _waited(self) -> float:
        """Return the seconds in which the gateway's main thread and this one were ready and had no processor."""
        stats = (self._gateway, Path("/proc/thread-self/schedstat"))
        return sum(int(each.read_text().split()[1]) for each in stats) / _KERNELS_UNIT


def main(port: int, pid: int, key: str) -> None:
    head = "Host: localhost\r\nConnection: close\r\n"
    post = f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {len(QUERY)}\r\n"
    health = Probe(port, pid, f"GET /healthz HTTP/1.1\r\n{head}\r\n".encode(), expected=b'"alive"', pause=HEALTH_PAUSE)
    query = Probe(
        port, pid, f"POST /graphql HTTP/1.1\r\n{head}{post}\r\n{QUERY}".encode(),
        expected=b'{"data":{"installations":{"nodes":[{', pause=QUERY_PAUSE,
    )  # fmt: skip
    for _ in sys.stdin:
        print(json.dumps({"health": health.period(), "query": query.period()}), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
