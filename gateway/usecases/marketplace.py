"""The applications of the marketplace, and the accounts that may install them; the platform maintains both."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from gateway.domain.errors import AccountNotFound, ApplicationNotFound, SlugTaken
from gateway.domain.input_checks import Id, InputCheck
from gateway.domain.input_problems import BrokenRule, InputProblemCode
from gateway.domain.installations import Account, Application, AuthorizationMethod
from gateway.domain.policy import require_platform
from gateway.domain.principals import Principal
from gateway.domain.text import slug_problems, text_problems, url_problems
from gateway.storage.applications import (
    insert_application,
    lock_application,
    select_accounts,
    select_applications,
    update_application,
)
from gateway.storage.database import Connection, transaction
from gateway.storage.queries import queries
from gateway.usecases.services import Services

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 4_000
MOST_CATEGORIES = 20
LONGEST_CATEGORY = 60


_NAMES_IN_INPUTS = {"logo_url": "logoUrl", "requires_configuration": "requiresConfiguration"}
_NOT_NULL = BrokenRule(InputProblemCode.REQUIRED, "Must not be null. Leave it out to keep it as it is.")


def _check_details(check: InputCheck, details: Mapping[str, Any]) -> None:
    """Report what is wrong with the fields of an application that are given."""
    for name, value in details.items():
        path = (_NAMES_IN_INPUTS.get(name, name),)
        match name, value:
            case "logo_url", None:
                pass
            case _, None:
                check.report(path, _NOT_NULL)
            case "name", _:
                check.report(path, *text_problems(value, most=LONGEST_NAME))
            case "description", _:
                check.report(path, *text_problems(value, most=LONGEST_DESCRIPTION, may_be_blank=True))
            case "logo_url", _:
                check.report(path, *url_problems(value))
            case "categories", _:
                _check_categories(check, value)


def _check_categories(check: InputCheck, categories: Sequence[str]) -> None:
    if len(categories) > MOST_CATEGORIES:
        message = f"Has {len(categories)} categories; at most {MOST_CATEGORIES} are allowed."
        check.report(("categories",), BrokenRule(InputProblemCode.TOO_MANY, message, MOST_CATEGORIES))
    for at, category in enumerate(categories):
        check.report(("categories", at), *text_problems(category, most=LONGEST_CATEGORY))


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
    """Add an application to the marketplace. Raises Forbidden, InvalidInput and SlugTaken."""
    require_platform(principal, intention="register applications")
    now, check = services.now(), InputCheck()
    check.report(("slug",), *slug_problems(slug))
    _check_details(check, {"name": name, "description": description, "categories": categories, "logo_url": logo_url})
    check.finish()
    application = Application(
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
    async with transaction(services.database) as connection:
        if not await insert_application(connection, application):
            raise SlugTaken(slug)
    return application


async def update_application_details(
    services: Services, principal: Principal, *, application_id: Id, changes: dict[str, Any]
) -> Application:
    """Change an application; `changes` names fields of Application, the others stay.

    Raises Forbidden, InvalidInput and ApplicationNotFound.
    """
    require_platform(principal, intention="change applications")
    check = InputCheck()
    application_id = check.id(application_id, "id")
    _check_details(check, changes)
    check.finish()
    async with transaction(services.database) as connection:
        application = await lock_application(connection, application_id=application_id)
        if application is None:
            raise ApplicationNotFound(application_id)
        changed = replace(application, **changes)
        changed = replace(changed, categories=tuple(changed.categories))
        if changed == application:
            return application
        changed = replace(changed, updated_at=max(services.now(), application.updated_at))
        await update_application(connection, changed)
        return changed


async def register_account(services: Services, principal: Principal, *, account_id: Id | None, name: str) -> Account:
    """Register an account; the same id again renames it. Raises Forbidden and InvalidInput."""
    require_platform(principal, intention="register accounts")
    check = InputCheck()
    account = Account(id=check.optional_id(account_id, "id") or services.new_id(), name=name)
    check.report(("name",), *text_problems(name, most=LONGEST_NAME))
    check.finish()
    async with transaction(services.database) as connection:
        await queries.upsert_account.execute(connection, id=account.id, name=account.name)
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
