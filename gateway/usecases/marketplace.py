"""The applications of the marketplace, and the accounts that may install them; the platform maintains both."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from gateway.domain.errors import AccountNotFound, ApplicationNotFound, BadUserInput, SlugTaken
from gateway.domain.installations import Account, Application, AuthorizationMethod
from gateway.domain.policy import require_platform
from gateway.domain.principals import Principal
from gateway.domain.text import checked_slug, checked_text, checked_url
from gateway.storage.applications import (
    insert_application,
    lock_application,
    select_accounts,
    select_applications,
    update_application,
    upsert_account,
)
from gateway.storage.database import Connection, transaction
from gateway.usecases.services import Services

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 4_000
MOST_CATEGORIES = 20
LONGEST_CATEGORY = 60


def _checked_categories(categories: tuple[str, ...]) -> tuple[str, ...]:
    if len(categories) > MOST_CATEGORIES:
        raise BadUserInput(
            f"An application has at most {MOST_CATEGORIES} categories, not {len(categories)}.", argument="categories"
        )
    return tuple(checked_text(category, name="categories", most=LONGEST_CATEGORY) for category in categories)


def _checked(application: Application) -> Application:
    return replace(
        application,
        slug=checked_slug(application.slug, name="slug"),
        name=checked_text(application.name, name="name", most=LONGEST_NAME),
        description=checked_text(
            application.description, name="description", most=LONGEST_DESCRIPTION, may_be_blank=True
        ),
        categories=_checked_categories(application.categories),
        logo_url=None if application.logo_url is None else checked_url(application.logo_url, name="logoUrl"),
    )


async def register_application(
    services: Services,
    principal: Principal,
    *,
    slug: str,
    name: str,
    description: str,
    categories: tuple[str, ...],
    logo_url: str | None,
    authorization_method: AuthorizationMethod,
    requires_configuration: bool,
    listed: bool,
) -> Application:
    """Add an application to the marketplace. Raises Forbidden, BadUserInput and SlugTaken."""
    require_platform(principal, intention="register applications")
    now = services.now()
    application = _checked(
        Application(
            id=services.new_id(),
            slug=slug,
            name=name,
            description=description,
            categories=categories,
            logo_url=logo_url,
            authorization_method=authorization_method,
            requires_configuration=requires_configuration,
            listed=listed,
            created_at=now,
            updated_at=now,
        )
    )
    async with transaction(services.database) as connection:
        if not await insert_application(connection, application):
            raise SlugTaken(slug)
    return application


async def update_application_details(
    services: Services, principal: Principal, *, application_id: UUID, changes: dict[str, Any]
) -> Application:
    """Change an application; `changes` names fields of Application, the others stay.

    Raises Forbidden, BadUserInput and ApplicationNotFound.
    """
    require_platform(principal, intention="change applications")
    async with transaction(services.database) as connection:
        application = await lock_application(connection, application_id=application_id)
        if application is None:
            raise ApplicationNotFound(application_id)
        changed = _checked(replace(application, **changes))
        if changed == application:
            return application
        changed = replace(changed, updated_at=max(services.now(), application.updated_at))
        await update_application(connection, changed)
        return changed


async def register_account(services: Services, principal: Principal, *, account_id: UUID | None, name: str) -> Account:
    """Register an account; the same id again renames it. Raises Forbidden and BadUserInput."""
    require_platform(principal, intention="register accounts")
    account = Account(id=account_id or services.new_id(), name=checked_text(name, name="name", most=LONGEST_NAME))
    async with transaction(services.database) as connection:
        await upsert_account(connection, account)
    return account


async def find_application(connection: Connection, *, application_id: UUID) -> Application:
    """Read one application within the caller's transaction. Raises ApplicationNotFound."""
    found = await select_applications(connection, ids=[application_id])
    if application_id not in found:
        raise ApplicationNotFound(application_id)
    return found[application_id]


async def require_account(connection: Connection, *, account_id: UUID) -> None:
    """Raise AccountNotFound where there is no such account."""
    if not await select_accounts(connection, ids=[account_id]):
        raise AccountNotFound(account_id)
