"""Why an installation has its status, and how its synchronisation stands. Their sources are the domain's objects."""

from datetime import datetime

import strawberry

from gateway.domain.installations import StatusReasonCode, SyncState


@strawberry.type(description="Why an installation has its status.")
class StatusReason:
    code: StatusReasonCode = strawberry.field(description="The reason.")
    message: str | None = strawberry.field(
        description="A message for people, as sent by the caller that changed the status."
    )
    since: datetime = strawberry.field(description="When the installation got this status.")


@strawberry.type(description="One step of a synchronisation, as the application names it: tags, tax-codes, vendors, ….")
class SyncStep:
    name: str = strawberry.field(description="The application's name for this step.")
    done: int = strawberry.field(description="How many items of this step are done.")
    total: int | None = strawberry.field(
        description="How many items this step has; null while the application does not know."
    )


@strawberry.type(description="The current or last synchronisation of an installation.")
class Sync:
    state: SyncState = strawberry.field(description="The state of the synchronisation.")
    started_at: datetime = strawberry.field(description="When it started.")
    finished_at: datetime | None = strawberry.field(description="When it ended; null while it runs.")
    expires_at: datetime | None = strawberry.field(
        description="When its lease ends unless the application reports progress before, which renews it up to the"
        " longest time that a synchronisation may take in all; null after its end."
    )
    steps: list[SyncStep] = strawberry.field(description="The progress of each step, as last reported.")
    message: str | None = strawberry.field(description="The application's last message about it, for people.")
