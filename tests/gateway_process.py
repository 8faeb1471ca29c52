"""The commands of the gateway as processes, forked from one that has imported the gateway.

Of the 1.3 s of processor time that a start by `python -m gateway` takes, 1.1 s are imports. The suite starts some 40.
"""

import os
import resource
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

from gateway.cli.commands import main

_FORKSERVER = get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["gateway.cli.serve"])


class GatewayCommand:
    """A running command, in a process group of its own. Its errors are appended to a file."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        environment: dict[str, str],
        errors: Path,
        run: Callable[[Sequence[str]], object] = main,
        descriptors: int | None = None,
    ) -> None:
        """Start it, with a soft limit of file descriptors if one is given."""
        receiver, sender = _FORKSERVER.Pipe(duplex=False)
        with sender:
            given = ([*map(str, arguments)], environment, sender, errors, run, descriptors)
            self._process = _FORKSERVER.Process(target=_run, args=given)
            self._process.start()
        with receiver:
            self.output: TextIO = os.fdopen(os.dup(receiver.fileno()))

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def ended(self) -> bool:
        return not self._process.is_alive()

    def send_signal(self, number: int) -> None:
        if not self.ended():
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Return the exit status, -n after signal n; TimeoutError if it has not ended within the time."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} has not ended within {seconds} s")
        self.output.close()
        return self._process.exitcode


def _run(
    arguments: list[str],
    environment: dict[str, str],
    output: Connection,
    errors: Path,
    run: Callable[[Sequence[str]], object],
    descriptors: int | None,
) -> None:
    os.setpgid(0, 0)
    os.dup2(output.fileno(), sys.stdout.fileno())
    output.close()
    with errors.open("ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    if descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    run(arguments)
