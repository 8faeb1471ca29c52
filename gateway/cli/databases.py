"""`gateway migrate` and `gateway demo`."""

from pathlib import Path

from gateway.cli.database_target import opened_gateway, place
from gateway.demo.loading import load_example_data
from gateway.settings import read_settings
from gateway.storage.migrations import migrate


async def apply_migrations(data: Path | None) -> int:
    """Apply what is missing, and say what that was."""
    async with place(data) as found:
        applied = await migrate(found.url)
    for migration in applied:
        print(f"applied {migration.number:04} {migration.name}")
    if not applied:
        print("nothing to apply")
    return 0


async def load_demo(data: Path | None) -> int:
    """Load what is missing of the example data, and say how much that was."""
    settings = read_settings()
    async with place(data) as found, opened_gateway(found, settings) as services:
        told = await load_example_data(services)
    print(f"loaded the example data: {told} new installations")
    return 0
