"""Loads the example data into any database, any number of times: what exists stays as it is."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial

from gateway.demo.catalogue import ACCOUNTS, APPLICATIONS, example_id
from gateway.demo.scenarios import EXAMPLES, PLATFORM, Example, History
from gateway.domain.errors import SlugTaken
from gateway.storage.applications import lock_application
from gateway.storage.database import read, transaction
from gateway.storage.events import select_installations_in_log
from gateway.usecases import marketplace
from gateway.usecases.reads import find_applications, find_installations_by_pair
from gateway.usecases.services import DEFAULT_FAILURE_LIMIT, Services

_FIRST_DAYS_AGO = 60.0
_DAYS_BETWEEN = 0.5


async def load_example_data(services: Services) -> int:
    """Load what is missing of the example data; return how many installations that were."""
    now = services.now()
    await _register_marketplace(replace(services, now=lambda: now - timedelta(days=_FIRST_DAYS_AGO + 1)))
    # The scenarios count failures up to the default limit, whatever limit this gateway has.
    # They are written in one transaction each, which batches would not be part of.
    services = replace(services, failure_limit=DEFAULT_FAILURE_LIMIT, batch_writes=False)
    loaded = 0
    for number, example in enumerate(await _missing(services, EXAMPLES)):
        time = now - timedelta(days=_FIRST_DAYS_AGO - number * _DAYS_BETWEEN)
        loaded += await _load(services, example, time=time)
    return loaded


async def _load(services: Services, example: Example, *, time: datetime) -> bool:
    """Write the history of one example, unless another process has meanwhile; return whether it was written.

    It is one transaction: no caller, and no expiry, sees a part of it.
    """
    history = History(
        services=services,
        application=example.application,
        account=example.account,
        time=time,
        installation_id=example.installation_id,
    )
    async with transaction(services.database) as connection:
        # Others that load or install the same application wait here until this history is committed.
        await lock_application(connection, application_id=example.application.id)
        missing = bool(await _missing(services, [example]))
        if missing:
            await example.scenario(history)
    return missing


async def _missing(services: Services, examples: Sequence[Example]) -> list[Example]:
    """Return the examples without any event or installation, of those whose application is registered as ours."""
    logged = await read(
        services.database,
        select_installations_in_log,
        installation_ids=[example.installation_id for example in examples],
    )
    pairs = [(example.application.id, example.account.id) for example in examples]
    installed = await read(services.database, find_installations_by_pair, PLATFORM, ids=pairs)
    ours = await read(services.database, find_applications, PLATFORM, ids=[one.id for one in APPLICATIONS])
    return [
        example
        for example, pair in zip(examples, pairs, strict=True)
        if example.application.id in ours and example.installation_id not in logged and pair not in installed
    ]


async def _register_marketplace(services: Services) -> None:
    for account in ACCOUNTS:
        await marketplace.register_account(services, PLATFORM, account_id=account.id, name=account.name)
    for application in APPLICATIONS:
        with suppress(SlugTaken):  # another application has it, or this one is registered already
            await marketplace.register_application(
                replace(services, new_id=partial(example_id, application.slug)),
                PLATFORM,
                logo_url=None,
                **asdict(application),
            )
