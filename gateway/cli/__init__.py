"""The commands: `gateway serve`, `migrate`, `schema`, `key`, `demo`."""

from gateway.cli.commands import main

__all__ = ["main"]
