"""Long documents are parsed in a thread: others are served meanwhile, and who leaves pays all the same."""

import asyncio
import threading
from functools import partial

import pytest
from graphql import ASTValidationRule, GraphQLError

from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.documents import Documents
from gateway.operations.pipeline import OperationPipeline
from gateway.operations.quotas import Quota
from gateway.operations.requests import GraphQLRequest
from tests.conformance.sample_gateway import SCHEMA, Context, State
from tests.serving import DEADLINE

CALLER = Principal(kind=PrincipalKind.ACCOUNT)
LONG = GraphQLRequest(query="subscription { ticks {" + " place" * 95 + " } }")


class Held:
    """A pipeline whose validation of documents waits until the event loop lets it go on."""

    def __init__(self) -> None:
        self.began, self.released = began, released = threading.Event(), threading.Event()

        class Waits(ASTValidationRule):
            def enter_document(self, *_: object) -> None:
                began.set()
                if not released.wait(DEADLINE):
                    self.report_error(GraphQLError("The event loop did not run."))

        self.pipeline = OperationPipeline(
            Documents(SCHEMA, rules=[Waits]),
            make_context=partial(Context, state=State()),
            quotas={PrincipalKind.ACCOUNT: Quota(minute=60_000_000)},
        )

    async def preparing(self) -> asyncio.Task[object]:
        task = asyncio.create_task(self.pipeline.prepare(LONG, CALLER))
        assert await asyncio.to_thread(self.began.wait, DEADLINE)
        return task


async def test_event_loop_runs_while_a_long_document_is_validated() -> None:
    held = Held()
    task = await held.preparing()
    held.released.set()
    assert await task


async def test_caller_who_leaves_while_its_document_is_validated_owes_what_it_took() -> None:
    held = Held()
    rate = held.pipeline._rate_limiter.of(CALLER)
    assert rate is not None
    task = await held.preparing()
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    held.released.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rate.owed > 0
