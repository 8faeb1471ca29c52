"""The `gateway` command: one module for each of its commands, or for a few small ones."""

from gateway.cli.commands import main

__all__ = ["main"]
