"""Two applications in two accounts each, and a client of every kind of caller."""

from dataclasses import dataclass
from typing import Any

from gateway.domain.installations import Account, Application, AuthorizationMethod
from tests.api.conftest import Client, Served


@dataclass(kw_only=True)
class Dataset:
    """Two applications, one of them unlisted, in two accounts each, and every kind of caller."""

    served: Served
    listed: Application
    unlisted: Application
    acme: Account
    blue: Account
    installations: dict[tuple[str, str], str]
    """The ids, by slug and account."""
    callers: dict[str, Client]

    def visible(self, caller: str) -> set[str]:
        """Return the ids of the installations within a caller's bounds."""
        slug, account = BOUNDS[caller]
        return {
            installation
            for (of, to), installation in self.installations.items()
            if slug in {None, of} and account in {None, to}
        }

    @property
    def own(self) -> str:
        """The installation that every caller sees."""
        return self.installations["listed", "Acme"]


BOUNDS: dict[str, tuple[str | None, str | None]] = {
    "platform": (None, None),
    "application": ("listed", None),
    "bound application": ("listed", "Acme"),
    "account": (None, "Acme"),
}
KINDS = {
    "platform": "PLATFORM",
    "application": "APPLICATION",
    "bound application": "APPLICATION",
    "account": "ACCOUNT",
}


async def create_policy_dataset(served: Served) -> Dataset:
    """Fill a gateway with the dataset."""
    listed = await served.application("listed", method=AuthorizationMethod.API_KEY)
    unlisted = await served.application("hidden", listed=False)
    acme, blue = await served.account("Acme"), await served.account("Blue")
    platform = await served.platform()
    installations = {}
    for application in (listed, unlisted):
        for account in (acme, blue):
            pair = {"applicationId": str(application.id), "accountId": str(account.id)}
            installations[application.slug, account.name] = await create_installation_with_history(
                platform, pair, application=application
            )
    callers = {
        "platform": platform,
        "application": await served.of_application(listed),
        "bound application": await served.of_application(listed, account=acme),
        "account": await served.of_account(acme),
    }
    return Dataset(
        served=served, listed=listed, unlisted=unlisted, acme=acme, blue=blue,
        installations=installations, callers=callers,
    )  # fmt: skip


async def create_installation_with_history(platform: Client, pair: dict[str, str], *, application: Application) -> str:
    """Make an installation with a history of every kind of event."""

    async def run(name: str, **given: Any) -> Any:
        kind = name[0].upper() + name[1:]
        query = f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ ... on Installation {{ id }} }} }}"
        return (await platform.data(query, input=given))[name]

    installation: str = (await run("authorizeInstallation", **pair))["id"]
    if application.authorization_method is AuthorizationMethod.API_KEY:
        await run("createInstallation", **pair)
    steps = [{"name": "tags", "done": 1, "total": 2}]
    await run("updateInstallationMetadata", id=installation, change={"replace": {"secret": application.slug}})
    await run("startInstallationSync", id=installation)
    await run("reportInstallationSyncProgress", id=installation, steps=steps, message="half")
    await run("finishInstallationSync", id=installation, outcome="SUCCEEDED", message="done")
    await run("reportInstallationConnection", id=installation, succeeded=False, message="once")
    await run("authorizeInstallation", **pair, expiresAt="2199-01-01T00:00:00Z")
    return installation
