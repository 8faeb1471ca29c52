"""What a caller may see. It is decided here and nowhere else: storage gets ids, and filters that are narrowed here.

What a caller may not see does not exist for it: a lookup finds nothing, a list is shorter, an event is not delivered.
"""

from dataclasses import replace
from uuid import UUID

from gateway.domain.errors import Forbidden
from gateway.domain.event_filters import ALL_EVENTS, EventFilter
from gateway.domain.events import Actor, EventKind
from gateway.domain.installations import Application, Installation
from gateway.domain.pages import AccountFilter, ApplicationFilter, InstallationFilter
from gateway.domain.principals import Principal, PrincipalKind


def sees(principal: Principal, *, application_id: UUID | None, account_id: UUID | None) -> bool:
    """Return whether the principal sees installations of this application and account, of any where one is None.

    It sees those that match each of its bounds that is set.
    """
    return (application_id is None or principal.application_id in {None, application_id}) and (
        account_id is None or principal.account_id in {None, account_id}
    )


def visible_installation(principal: Principal, installation: Installation | None) -> Installation | None:
    """Return the installation, or None where the principal does not see it."""
    if installation is None or not sees(
        principal, application_id=installation.application_id, account_id=installation.account_id
    ):
        return None
    return installation


def sees_api_key(principal: Principal, *, api_key_id: UUID) -> bool:
    """Return whether the API key is visible: the platform sees all, others the one that authenticated them."""
    return principal.kind is PrincipalKind.PLATFORM or principal.api_key_id == api_key_id


def reads_metadata(principal: Principal) -> bool:
    """Metadata belongs to the application: an account's users read neither it nor the events of its changes."""
    return principal.kind is not PrincipalKind.ACCOUNT


def sees_application(principal: Principal, *, application: Application, installed: bool) -> bool:
    """Return whether the application is visible; `installed`: whether the principal's account has it installed."""
    if principal.kind is PrincipalKind.ACCOUNT:
        return application.listed or installed
    return application.listed or sees(principal, application_id=application.id, account_id=None)


def visible_applications(principal: Principal, matching: ApplicationFilter) -> ApplicationFilter:
    """Narrow a filter of applications to those that `sees_application` lets the principal see."""
    if principal.kind is PrincipalKind.ACCOUNT:
        return replace(matching, listed_or_installed_for=principal.account_id)
    return replace(matching, listed_or_id=principal.application_id)


def visible_accounts(principal: Principal, matching: AccountFilter) -> AccountFilter:
    """Narrow a filter of accounts: an account's user sees that one, an application those that have it installed."""
    return replace(matching, id=principal.account_id, installed_for=principal.application_id)


def visible_installations(principal: Principal, matching: InstallationFilter) -> InstallationFilter:
    """Narrow a filter of installations to those that the principal sees.

    Raises:
        Forbidden: It filters by metadata, which the principal may not read.
    """
    if matching.metadata is not None and not reads_metadata(principal):
        raise Forbidden("Metadata belongs to the application: an account's user may not filter by it.")
    if principal.application_id is None and principal.account_id is None:
        return matching
    return replace(
        matching,
        application_ids=_within(matching.application_ids, principal.application_id),
        account_ids=_within(matching.account_ids, principal.account_id),
    )


def visible_actor(principal: Principal, actor: Actor) -> Actor:
    """Return the actor of an event that the principal sees; others than the platform see only their own id and label.

    The event lies within the bounds of both: an actor of the principal's kind is the same application or account.
    """
    if principal.kind in {PrincipalKind.PLATFORM, actor.kind}:
        return actor
    return replace(actor, id=None, label=None)


def visible_events(principal: Principal, matching: EventFilter = ALL_EVENTS) -> EventFilter:
    """Narrow a filter of events to those that the principal sees; outside its bounds it matches nothing."""
    hidden = frozenset[EventKind]() if reads_metadata(principal) else frozenset({EventKind.METADATA_UPDATED})
    return replace(
        matching,
        application_ids=_within(matching.application_ids, principal.application_id),
        account_ids=_within(matching.account_ids, principal.account_id),
        kinds=matching.kinds - hidden,
    )


def _within(ids: frozenset[UUID] | None, bound: UUID | None) -> frozenset[UUID] | None:
    """Return those of the ids that lie within the bound; None means all of them."""
    if bound is None:
        return ids
    return frozenset({bound}) if ids is None else ids & {bound}
