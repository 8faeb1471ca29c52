"""How an operation runs: from a document's text to the bytes of an answer.

Documents are parsed and validated once (`operations`), errors are formatted in one place (`errors`), and what several
subscribers would be told alike is said once (`subscriptions`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from graphql import ASTValidationRule, specified_rules
from graphql.execution import Executor, MiddlewareManager
from strawberry import Schema
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from gateway.domain.errors import BadUserInput, GatewayError, TimedOut
from gateway.domain.principals import Principal
from gateway.execution.context import ExecutionContext
from gateway.execution.costs import CostModel
from gateway.execution.documents import Documents, Operation, OperationType
from gateway.execution.encoding import Response, encode_response, execute
from gateway.execution.errors import Refusal, refuse, request_error
from gateway.execution.limits import DocumentLimits, VariableLimits, check_variables
from gateway.execution.runner import CompiledExecutionFailed, ExecutionState, run
from gateway.execution.subscriptions import PayloadStream, SharedSubscriptions
from gateway.operations.observation import Observe, observed
from gateway.operations.quotas import ConcurrencyLimiter, Quotas, RateLimiter

Variables = Mapping[str, Any] | None

_CHARACTERS_PER_UNIT = 20
"""Of a document that is read for the first time: broken ones are read each time, and cost no less."""


class Engine:
    """Runs operations on one schema. Any number of them at a time, all on one event loop."""

    def __init__(
        self,
        schema: Schema,
        *,
        rules: Sequence[type[ASTValidationRule]] = (),
        limits: DocumentLimits = DocumentLimits(),  # noqa: B008 - frozen
        variable_limits: VariableLimits = VariableLimits(),  # noqa: B008 - frozen
        costs: CostModel = CostModel(),  # noqa: B008 - frozen
        allowances: Quotas = Quotas(),  # noqa: B008 - frozen
        max_subscriptions: int = 10_000,
        operation_seconds: float = 30,
        max_documents: int = 1_000,
        max_document_bytes: int = 400_000,
        max_coercion_errors: int = 10,
        hide_suggestions: bool = False,
        observe: Observe | None = None,
    ) -> None:
        """Prepare to run `schema`.

        `rules` are validated beside those of the specification. `max_tokens` bounds what is parsed of one document,
        `max_documents` and `max_document_bytes` what is kept (of their source: parsed, it takes 120 times as much).
        """
        self._schema = schema._schema  # noqa: SLF001 - Strawberry has no public name for graphql-core's schema
        self._executor_class: type[Executor[Any]] = schema.execution_context_class
        self._max_coercion_errors = max_coercion_errors
        self._hide_suggestions = hide_suggestions
        self._documents = Documents(
            self._schema,
            rules=(*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule, *rules),
            limits=limits,
            costs=costs,
            max_count=max_documents,
            max_source_bytes=max_document_bytes,
            hide_suggestions=hide_suggestions,
        )
        self._shared = SharedSubscriptions(event_seconds=operation_seconds)
        self._variable_limits = variable_limits
        self._budgets = RateLimiter(allowances)
        self._places = ConcurrencyLimiter(max_subscriptions, called="subscriptions")
        self._operation_seconds = operation_seconds
        self._observe = observe

    def prepare(self, query: str, operation_name: str | None = None) -> Operation:
        """Return the operation of this document, parsed and validated. Raises Refusal."""
        return self._documents.get(query, name=operation_name) or self._documents.prepare(query, name=operation_name)

    async def prepared(self, query: str, operation_name: str | None, *, caller: Principal | None) -> Operation:
        """Return the operation as `prepare` does; who brings a new document pays for the reading. Raises Refusal."""
        if self._documents.get(query, name=operation_name) is None:
            try:
                await self.charge(caller, cost=1 + len(query) // _CHARACTERS_PER_UNIT)
            except GatewayError as error:
                refuse(error)
        try:
            return self.prepare(query, operation_name)
        except Refusal as refusal:
            if self._observe is not None:
                self._observe(None, refusal.code, 0.0)
            raise

    async def charge(self, caller: Principal | None, *, cost: int) -> None:
        """Take what something costs that is done for this caller. Raises RateLimited."""
        await self._budgets.charge(caller, cost=cost)

    def check(self, query: str) -> None:
        """Raise Refusal unless all operations of this document could be run."""
        self._documents.check(query)

    async def execute(
        self, operation: Operation, variables: Variables, context: ExecutionContext, *, tells_cost: bool = False
    ) -> Response:
        """Run a query or a mutation. Raises Refusal where nothing of it ran, or where it took too long.

        `tells_cost` has the answer say, in its extensions, what it was estimated to cost.
        """
        work = self._executed(operation, variables, context, tells_cost=tells_cost)
        return await observed(self._observe, operation.type, work)

    async def subscribe(self, operation: Operation, variables: Variables, context: ExecutionContext) -> PayloadStream:
        """Open a subscription's stream. Raises Refusal where there is none to open."""
        return await observed(self._observe, operation.type, self._subscribed(operation, variables, context))

    @property
    def shared_subscriptions(self) -> int:
        """The number of different subscriptions now."""
        return len(self._shared)

    async def _executed(
        self, operation: Operation, variables: Variables, context: ExecutionContext, *, tells_cost: bool
    ) -> Response:
        if operation.type is OperationType.SUBSCRIPTION:
            refuse(BadUserInput("A subscription is a stream: ask for it over WebSocket, SSE or multipart."))
        cost = await self._pay(operation, variables, context)
        try:
            async with asyncio.timeout(self._operation_seconds) as limit:
                await self._prepare_context(operation, context)
                told = self._told(cost, context) if tells_cost else None
                return await self._answered(operation, variables, context, extensions=told)
        except TimeoutError:
            if not limit.expired():
                raise
            context.abandon()
            refuse(TimedOut(f"The operation took longer than {self._operation_seconds:g} seconds, and was given up."))

    async def _answered(
        self,
        operation: Operation,
        variables: Variables,
        context: ExecutionContext,
        *,
        extensions: dict[str, Any] | None,
    ) -> Response:
        """Run it compiled; where that cannot be, or fails, graphql-core runs it, on what the root fields answered."""
        replay = None
        values = operation.compiled.coerced(variables)
        groups = None if values is None else operation.compiled.variant(values)
        if values is not None and groups is not None:
            try:
                data = await run(groups, ExecutionState(context=context, variable_values=values))
            except CompiledExecutionFailed as failure:
                replay = failure.middleware
            else:
                return encode_response(data, extensions=extensions)
        executor = self._executor(operation, variables, context, middleware=replay)
        return await execute(executor, extensions=extensions)

    async def _subscribed(self, operation: Operation, variables: Variables, context: ExecutionContext) -> PayloadStream:
        await self._pay(operation, variables, context)
        caller = context.caller
        self._take_place(caller)
        try:
            return await self._opened(operation, variables, context, leave=lambda: self._places.leave(caller))
        except BaseException:
            self._places.leave(caller)
            raise

    async def _pay(self, operation: Operation, variables: Variables, context: ExecutionContext) -> int:
        try:
            check_variables(variables, self._variable_limits)
            cost = operation.cost.value(variables)
            await self._budgets.spend(context.caller, cost=cost)
        except GatewayError as error:
            refuse(error)
        return cost

    def _told(self, cost: int, context: ExecutionContext) -> dict[str, Any]:
        return {"cost": {"estimated": cost, "allowed": self._budgets.allowed(context.caller)}}

    def _take_place(self, caller: Principal | None) -> None:
        try:
            self._places.take(caller)
        except GatewayError as error:
            refuse(error)

    async def _opened(
        self, operation: Operation, variables: Variables, context: ExecutionContext, *, leave: Callable[[], None]
    ) -> PayloadStream:
        await self._prepare_context(operation, context)
        executor = self._executor(operation, variables, context)
        rendered_by = {name: value for name, value in (variables or {}).items() if name in operation.payload_variables}
        key = (operation.source, operation.name, repr(rendered_by), context.share_key)
        shared = self._shared.acquire(key, executor, groups=operation.compiled.variant(executor.variable_values))
        try:
            return await shared.open(executor, on_close=leave)
        except BaseException:
            shared.release()
            raise

    async def _prepare_context(self, operation: Operation, context: ExecutionContext) -> None:
        try:
            await context.prepare(operation.root_fields)
        except GatewayError as error:
            refuse(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes a masked answer
            refuse(error)

    def _executor(
        self,
        operation: Operation,
        variables: Variables,
        context: ExecutionContext,
        *,
        middleware: MiddlewareManager | None = None,
    ) -> Executor[Any]:
        executor = self._executor_class.build(
            self._schema,
            operation.document,
            context_value=context,
            raw_variable_values=cast("dict[str, Any]", variables),
            operation_name=operation.name,
            middleware=middleware,
            max_coercion_errors=self._max_coercion_errors,
            is_awaitable=cast("Any", optimized_is_awaitable),
            hide_suggestions=self._hide_suggestions,
        )
        if isinstance(executor, list):
            raise Refusal(map(request_error, executor))
        return executor
