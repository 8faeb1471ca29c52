"""The operation pipeline, the same for every transport.

`prepare` finds the document, parses and validates it (cached) and authorizes the caller; `execute` and `subscribe`
charge the caller, run the operation and encode its response. Both raise GatewayError where nothing ran.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, TypeVar

from graphql import OperationType

from gateway.domain.errors import BadUserInput, GatewayError, TimedOut, Unauthenticated
from gateway.domain.principals import Principal, PrincipalKind
from gateway.execution.context import ANONYMOUS, MakeContext
from gateway.execution.documents import Documents, Operation
from gateway.execution.encoding import Payload, Response
from gateway.execution.errors import OperationTooComplex, error_code
from gateway.execution.runner import execute
from gateway.execution.state import ExecutionState, Turns
from gateway.execution.variables import count_values
from gateway.operations.persisted_operations import DocumentPolicy, OperationResolver, UntrustedDocument
from gateway.operations.quotas import ConcurrencyLimiter, Quota, RateLimiter
from gateway.operations.requests import GraphQLRequest, parse_json
from gateway.operations.running import CallerPlaces, ConnectionShares, Deadline, Deadlines, Places, WorkerThread
from gateway.operations.subscriptions import PayloadStream, SharedSubscription
from gateway.storage.database import METER, StatementMeter, connection_share

Result = TypeVar("Result")

Observe = Callable[[OperationType | None, str, float], None]
"""Called after each operation with its type (None where its document was refused), its outcome and its seconds.

The outcome is OK, ABANDONED where it was cancelled, or the code of its first error. A subscription counts as done when
its stream is open.
"""

_PREPARATION = 100
"""Units for a document that is not cached, and one for each 10 characters; what it takes beyond is owed afterwards, and
as much again: it is compiled when it first runs, and takes the place of others in the cache.
Invalid documents are not cached, and cost no less."""
_BYTES_PER_UNIT = 10
"""Of a request's body: JSON full of decimals takes 0.29 us a byte to parse, text 0.001."""
FREE_BYTES = 1_000
"""A body that is not larger may be parsed without asking the pipeline."""
_MAX_BYTES_AT_ONCE = 50_000
_MAX_CHARACTERS_AT_ONCE = 500
"""Of a document: so many take 5 ms to parse and validate, and the longest ones 100."""
_SETTLED_UNITS = 10_000
"""What an operation's statements take beyond its estimated cost is settled where it exceeds this: less is noise."""
_RESPONSE_BYTES_PER_UNIT = 200
"""A response of 1 MB takes 5 ms to read, encode and send."""
_FREE_RESPONSE_BYTES = 50_000
_MAX_RUNNING = 32
"""Queries and mutations of one caller that run at a time; the others wait, and are charged when they begin. A page of
60 with 16 kB of metadata each takes 2 MB while it runs."""
_ID = 100
"""Units for each id that a subscription filters by: its backlog reads as much as a query by this id."""
_OPENING = 200
"""Units for opening a subscription, which pays for its events later."""


class OperationPipeline:
    """Runs operations of one schema, any number of them concurrently, on one event loop."""

    def __init__(
        self,
        documents: Documents,
        *,
        make_context: MakeContext,
        policy: DocumentPolicy = DocumentPolicy(),  # noqa: B008 - frozen
        quotas: Mapping[PrincipalKind | None, Quota] | None = None,
        max_subscriptions: int = 10_000,
        pool_size: int = 10,
        operation_seconds: float = 30,
        run_to_completion: Callable[[Coroutine[Any, Any, Response]], Awaitable[Response]] = asyncio.shield,
        observe: Observe | None = None,
    ) -> None:
        """Prepare to run the operations of `documents`.

        `max_subscriptions` is per caller. `run_to_completion` awaits a mutation without cancelling it when its own
        awaiter is cancelled.
        """
        self.documents = documents
        self._make_context = make_context
        self._policy = policy
        given = quotas or {}
        self._quotas = {kind: given.get(kind, Quota()) for kind in (*PrincipalKind, None)}
        self._rate_limiter = RateLimiter(self._quotas)
        self._resolver = OperationResolver(policy, self._rate_limiter)
        self._subscriptions = ConcurrencyLimiter(max_subscriptions, things="subscriptions")
        self._shares = ConnectionShares(most=max(pool_size // 2, 1))
        self._platform_shares = ConnectionShares(most=max(pool_size * 4 // 5, 1))
        """The platform acts for everybody."""
        self.shared_subscriptions: dict[Hashable, SharedSubscription] = {}
        """The different subscriptions that are open now."""
        self._running = Places(most=_MAX_RUNNING)
        self._turns = Turns()
        self._json_thread, self._documents_thread = WorkerThread(), WorkerThread()
        self._deadlines = Deadlines(operation_seconds)
        self._run_to_completion = run_to_completion
        self._observe = observe

    async def prepare(self, request: GraphQLRequest, caller: Principal | None) -> Operation:
        """Return the operation that a request asks for, which its caller may run."""
        text, trusted = request.query, True
        if text is None or self._policy.trusted_only or request.document_id or "persistedQuery" in request.extensions:
            text, trusted = await self._resolver.resolve(request, caller)
        operation = self.documents.kept.get((text, request.operation_name))
        if operation is None:
            operation = await self._prepare_new(text, request, caller)
        if not operation.introspects_only:
            if not trusted:
                raise UntrustedDocument
            if caller is None:
                raise Unauthenticated("Anonymous callers may only introspect. Send Authorization: Bearer and a key.")
        if "persistedQuery" in request.extensions:
            self._resolver.keep_automatic(request, caller)
        return operation

    def kept(self, request: GraphQLRequest, caller: Principal | None) -> Operation | None:
        """Return at once what `prepare` would return; None where that has to be called."""
        if caller is None or self._policy.trusted_only or request.document_id or request.extensions:
            return None
        return None if request.query is None else self.documents.kept.get((request.query, request.operation_name))

    async def parse(self, text: bytes, caller: Principal | None) -> Any:
        """Return the value of a request's JSON, whose size is charged. Raises MalformedRequest and RateLimited."""
        if len(text) > FREE_BYTES:
            await self._rate_limiter.charge(caller, cost=len(text) // _BYTES_PER_UNIT)
        if len(text) > _MAX_BYTES_AT_ONCE:
            return await self._json_thread.run(partial(parse_json, text))
        return parse_json(text)

    async def _prepare_new(self, text: str, request: GraphQLRequest, caller: Principal | None) -> Operation:
        """Parse and validate a document; charge the CPU that it takes."""
        charged, seconds, rate = _PREPARATION + len(text) // 10, 0.0, self._rate_limiter.of(caller)

        def parse() -> Operation:
            nonlocal seconds
            started = time.thread_time()
            try:
                return self.documents.parse(text, name=request.operation_name)
            finally:
                seconds = time.thread_time() - started

        async with nullcontext() if rate is None else rate.preparing:
            await self._turns.next()
            if rate is not None:
                await rate.charge(charged)  # with what the document before it took
            if (kept := self.documents.kept.get((text, request.operation_name))) is not None:
                return kept
            try:
                operation = await self._documents_thread.run(parse) if len(text) > _MAX_CHARACTERS_AT_ONCE else parse()
            except GatewayError as error:
                if self._observe is not None:
                    self._observe(None, error.code, 0.0)
                raise
            finally:
                if rate is not None:
                    rate.owe(round(2e6 * seconds) - charged)
            return self.documents.keep(operation, owner=caller and caller.bounds)

    async def execute(
        self, operation: Operation, request: GraphQLRequest, caller: Principal | None, *, awaiter_stays: bool = False
    ) -> Response:
        """Run a query or a mutation. A mutation that has begun is finished even if its awaiter is cancelled.

        It needs no task of its own, which takes 8 us, if its `awaiter_stays` until the gateway stops.
        """
        key = caller and caller.bounds
        place = self._running.take(key) or await self._wait_for_place(key)
        try:
            work = self._execute(operation, request, caller)
            if self._observe is not None:
                work = self._observed(self._observe, operation.type, work)
            if operation.type is OperationType.MUTATION and not awaiter_stays:
                return await self._run_to_completion(work)
            return await work
        finally:
            self._running.leave(place)

    async def _wait_for_place(self, caller: Hashable) -> CallerPlaces:
        """Take the next place. Raises TimedOut where the operations before this one leave none in its time."""
        try:
            return await asyncio.wait_for(self._running.wait(caller), self._deadlines.seconds)
        except TimeoutError:
            raise TimedOut(
                f"The operation did not begin within {self._deadlines.seconds:g} seconds: {_MAX_RUNNING} others of its"
                " caller run at a time."
            ) from None

    async def subscribe(
        self,
        operation: Operation,
        request: GraphQLRequest,
        caller: Principal | None,
        *,
        last_event_id: str | None = None,
    ) -> PayloadStream:
        """Open the stream of a subscription. It has to be closed."""
        work = self._subscribe(operation, request, caller, last_event_id=last_event_id)
        if self._observe is not None:
            work = self._observed(self._observe, operation.type, work)
        return await work

    async def stream(
        self,
        operation: Operation,
        request: GraphQLRequest,
        caller: Principal | None,
        *,
        last_event_id: str | None = None,
    ) -> AsyncIterator[Payload]:
        """Yield the payloads of an operation of any type: a query or a mutation has one."""
        if operation.type is not OperationType.SUBSCRIPTION:
            body = (await self.execute(operation, request, caller)).body
            yield Payload(body=body, text=body.decode(), cursor=None)
            return
        payloads = await self.subscribe(operation, request, caller, last_event_id=last_event_id)
        try:
            async for payload in payloads:
                yield payload
        finally:
            await payloads.aclose()

    async def _observed(
        self, observe: Observe, operation_type: OperationType, work: Coroutine[Any, Any, Result]
    ) -> Result:
        outcome, started = "ABANDONED", time.perf_counter()
        try:
            result = await work
            errors = result.errors if isinstance(result, Response) else ()
            outcome = errors[0]["extensions"]["code"] if errors else "OK"
        except Exception as error:
            outcome = error_code(error)
            raise
        finally:
            observe(operation_type, outcome, time.perf_counter() - started)
        return result

    async def _execute(self, operation: Operation, request: GraphQLRequest, caller: Principal | None) -> Response:
        if operation.type is OperationType.SUBSCRIPTION:
            raise BadUserInput("A subscription is a stream: ask for it over WebSocket, SSE or multipart.")
        context = ANONYMOUS if caller is None else self._make_context(caller=caller)
        cost = await self._charge(operation, request, caller)
        extensions = self._cost_extension(cost, caller) if request.extensions.get("cost") is True else None
        meter, size = StatementMeter(), 0
        METER.set(meter)
        connection_share.set(partial(self._share_taken, caller))
        try:
            with Deadline(self._deadlines) as deadline:
                prepared = context.prepared_fields
                if prepared is None or not operation.root_fields.isdisjoint(prepared):
                    await context.prepare(operation.root_fields)
                variables, hide = operation.compiled.variables, self.documents.hide_suggestions
                values = variables.coerced(request.variables, hide_suggestions=hide)
                state = ExecutionState(context=context, variable_values=values, turns=self._turns)
                response = await execute(operation.compiled.variant(values), state, extensions=extensions)
                size = len(response.body)
                return response
        except TimeoutError:
            if not deadline.expired:
                raise
            context.abandon()
            raise TimedOut(f"The operation was stopped after {self._deadlines.seconds:g} seconds.") from None
        except OperationTooComplex as error:
            if operation.type is not OperationType.MUTATION:
                raise
            raise OperationTooComplex(f"{error.message} What it changed stays changed.", **error.extensions) from None
        finally:
            beyond = round(meter.seconds * 1e6) - cost
            if beyond <= _SETTLED_UNITS:
                beyond = meter.units
            if beyond or size > _FREE_RESPONSE_BYTES:
                rate = self._rate_limiter.of(caller)
                if rate is not None:
                    await rate.settle(beyond + size // _RESPONSE_BYTES_PER_UNIT)

    async def _charge(self, operation: Operation, request: GraphQLRequest, caller: Principal | None) -> int:
        """Charge an operation, or the opening of a subscription; return its estimated cost, or that of each event.

        Raises RateLimited, and OperationTooComplex where the cost is more than the caller may spend at once.
        """
        counts = count_values(request.variables) if request.variables else {}
        cost = operation.cost.constant or operation.cost.value(request.variables, counts)
        quota = self._quotas[caller and caller.kind]
        subscribes = operation.type is OperationType.SUBSCRIPTION
        allowed = quota.event if subscribes else quota.operation
        if cost > allowed:
            what = "Each event of the subscription" if subscribes else "The operation"
            raise OperationTooComplex(
                f"{what} would cost {cost}; at most {allowed} are allowed. Ask for shorter pages, or for less of each"
                " item.",
                limit="cost",
                allowed=allowed,
                cost=cost,
            )
        if quota.minute is not None:
            await self._rate_limiter.charge(caller, cost=min(cost, _OPENING) if subscribes else cost)
        return cost

    def _cost_extension(self, cost: int, caller: Principal | None) -> dict[str, Any]:
        quota = self._quotas[caller and caller.kind]
        return {"cost": {"estimated": cost, "allowed": quota.operation}}

    async def _subscribe(
        self, operation: Operation, request: GraphQLRequest, caller: Principal | None, *, last_event_id: str | None
    ) -> PayloadStream:
        variables = request.variables
        context = ANONYMOUS if caller is None else self._make_context(caller=caller, last_event_id=last_event_id)
        cost = await self._charge(operation, request, caller)
        held = 1
        self._subscriptions.acquire(caller)
        connection_share.set(partial(self._share_taken, caller))
        try:
            await context.prepare(operation.root_fields)
            hide = self.documents.hide_suggestions
            values = operation.compiled.variables.coerced(variables, hide_suggestions=hide)
            state = ExecutionState(context=context, variable_values=values, turns=self._turns)
            payload_variables = {
                name: value for name, value in (variables or {}).items() if name in operation.payload_variables
            }
            source = await operation.compiled.subscribe(state)
            if context.subscription_size > held:
                await self._count_ids(caller, more=context.subscription_size - held)
                held = context.subscription_size
            key = (operation.source, operation.name, repr(payload_variables), context.share_key)
            shared = self.shared_subscriptions.get(key)
            if shared is None:
                shared = self.shared_subscriptions[key] = SharedSubscription(
                    groups=operation.compiled.variant(values),
                    context=context,
                    variable_values=values,
                    turns=self._turns,
                    event_seconds=self._deadlines.seconds,
                    cost=cost,
                    rate=self._rate_limiter.of(caller),
                    on_unused=lambda: self.shared_subscriptions.pop(key),
                )
            shared.subscribers += 1
            return PayloadStream(shared, source, on_close=lambda: self._subscriptions.release(caller, held))
        except BaseException:
            self._subscriptions.release(caller, held)
            raise

    async def _count_ids(self, caller: Principal | None, *, more: int) -> None:
        """Charge the ids that a subscription filters by, and count them as further subscriptions.

        Each takes as much of the feed's index as a subscription (0.5 kB), and a range of the log in each backlog.
        """
        if self._quotas[caller and caller.kind].minute is not None:
            await self._rate_limiter.charge(caller, cost=more * _ID)
        self._subscriptions.acquire(caller, more)

    def _share_taken(self, caller: Principal | None) -> AbstractAsyncContextManager[None]:
        platform = caller is not None and caller.kind is PrincipalKind.PLATFORM
        key = caller and caller.bounds
        return (self._platform_shares if platform else self._shares).connection(key)
