"""`gateway events prune`."""

import sys
from datetime import timedelta
from pathlib import Path

from gateway.cli.database_target import opened_gateway, place
from gateway.domain.errors import BadUserInput
from gateway.settings import read_settings
from gateway.usecases.retention import PRUNED_AT_ONCE, prune_old_events
from gateway.usecases.services import utc_now

_BATCHES_BETWEEN_WORDS = 10


async def prune(data: Path | None, *, older_than: timedelta) -> int:
    """Remove old events, batch by batch; say on the way, and in the end, how many those were."""
    try:
        before = utc_now() - older_than
    except OverflowError:
        raise BadUserInput("--older-than reaches back to before the year 1.") from None
    removed, batches = 0, 0
    async with place(data) as found, opened_gateway(found, read_settings()) as services:
        while (count := await prune_old_events(services, older_than=before)) == PRUNED_AT_ONCE:
            removed, batches = removed + count, batches + 1
            if batches % _BATCHES_BETWEEN_WORDS == 0:
                sys.stderr.write(f"removed {removed} events so far\n")
    print(f"removed {removed + count} events from before {before:%Y-%m-%dT%H:%M:%SZ}")
    return 0
