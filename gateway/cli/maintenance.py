"""`gateway migrate`, `gateway demo` and `gateway events prune`."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.cli.database_target import database_target, open_services
from gateway.demo.loading import load_example_data
from gateway.domain.errors import BadUserInput
from gateway.settings import read_settings
from gateway.storage import migrations
from gateway.usecases.retention import PRUNE_BATCH_SIZE, prune_old_events

_BATCHES_BETWEEN_REPORTS = 10


async def migrate(*, data: Path | None) -> int:
    """Apply the missing migrations; print which those were."""
    async with database_target(data) as target:
        applied = await migrations.migrate(target.url)
    for migration in applied:
        print(f"applied {migration.number:04} {migration.name}")
    if not applied:
        print("nothing to apply")
    return 0


async def load_demo(*, data: Path | None) -> int:
    """Load what is missing of the example data; print how much that was."""
    settings = read_settings()
    async with database_target(data) as target, open_services(target, settings) as services:
        loaded = await load_example_data(services)
    print(f"loaded the example data: {loaded} new installations")
    return 0


async def prune_events(*, data: Path | None, older_than: timedelta) -> int:
    """Remove old events in batches; print how many, on the way to the standard error."""
    settings = read_settings()
    try:
        before = datetime.now(UTC) - older_than
    except OverflowError:
        raise BadUserInput("--older-than reaches back to before the year 1.") from None
    removed, batches = 0, 0
    async with database_target(data) as target, open_services(target, settings) as services:
        while (count := await prune_old_events(services, older_than=before)) == PRUNE_BATCH_SIZE:
            removed, batches = removed + count, batches + 1
            if batches % _BATCHES_BETWEEN_REPORTS == 0:
                sys.stderr.write(f"removed {removed} events so far\n")
    print(f"removed {removed + count} events from before {before:%Y-%m-%dT%H:%M:%SZ}")
    return 0
