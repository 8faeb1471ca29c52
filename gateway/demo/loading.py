"""Loading the example data, into any database and as often as wished: what is there already is left alone."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from gateway.demo.catalogue import ACCOUNTS, APPLICATIONS, ExampleAccount, ExampleApplication, example_id
from gateway.demo.stories import PLATFORM, Part, Telling, cast
from gateway.domain.errors import SlugTaken
from gateway.storage.applications import lock_application
from gateway.storage.database import read, transaction
from gateway.storage.events import select_installations_in_log
from gateway.usecases import marketplace, reading
from gateway.usecases.services import DEFAULT_FAILURE_LIMIT, Services

_FIRST_STORY_DAYS_AGO = 60.0
_DAYS_BETWEEN_STORIES = 0.5


async def load_example_data(services: Services) -> int:
    """Load what is missing of the example data; answer how many installations' stories were told."""
    now = services.now()
    await _register_everybody(replace(services, now=lambda: now - timedelta(days=_FIRST_STORY_DAYS_AGO + 1)))
    missing = await _untold(services, everybody=cast())
    # The stories count failures as the default has it, whatever this gateway is set to.
    usual = replace(services, failure_limit=DEFAULT_FAILURE_LIMIT)
    return sum([await _tell(usual, part, time=_beginning(now, number=number)) for number, part in enumerate(missing)])


async def _tell(services: Services, part: Part, *, time: datetime) -> bool:
    """Tell one story, unless somebody else has told it meanwhile; tell whether it was told.

    One transaction for a whole story: nobody, and no clock, sees it half told.
    """
    application, account, story = part
    telling = Telling(
        services=services,
        application=application,
        account=account,
        time=time,
        installation_id=first_installation_id(application, account),
    )
    async with transaction(services.database) as connection:
        # Whoever loads or installs at the same time waits here until this story is told.
        await lock_application(connection, application_id=application.id)
        untold = bool(await _untold(services, everybody=[part]))
        if untold:
            await story(telling)
    return untold


def _same(value: UUID) -> UUID:
    return value


def _beginning(now: datetime, *, number: int) -> datetime:
    return now - timedelta(days=_FIRST_STORY_DAYS_AGO - number * _DAYS_BETWEEN_STORIES)


def first_installation_id(application: ExampleApplication, account: ExampleAccount) -> UUID:
    """Tell the id of the first installation of an example tie."""
    return example_id(f"{application.slug} in {account.name}")


async def _register_everybody(services: Services) -> None:
    for account in ACCOUNTS:
        await marketplace.register_account(services, PLATFORM, account_id=account.id, name=account.name)
    for application in APPLICATIONS:
        try:
            await marketplace.register_application(
                replace(services, new_id=partial(_same, application.id)),
                PLATFORM,
                slug=application.slug,
                name=application.name,
                description=application.description,
                categories=application.categories,
                logo_url=None,
                authorization_method=application.method,
                requires_configuration=application.requires_configuration,
                listed=application.listed,
            )
        except SlugTaken:
            continue


async def _untold(services: Services, *, everybody: list[Part]) -> list[Part]:
    """Find the ties whose story is not told: no event, no installation, and an application that is ours."""
    firsts = [first_installation_id(application, account) for application, account, _ in everybody]
    ties = [(application.id, account.id) for application, account, _ in everybody]
    told = await read(services.database, select_installations_in_log, installation_ids=firsts)
    living = await reading.find_installations_by_tie(services, PLATFORM, ties=ties)
    known = await reading.find_applications(services, PLATFORM, ids=[application.id for application in APPLICATIONS])
    ours = {application.id for application in known if application}
    return [
        one
        for one, first, installation in zip(everybody, firsts, living, strict=True)
        if first not in told and installation is None and one[0].id in ours
    ]
