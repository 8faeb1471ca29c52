"""What becomes of operations, told to whoever measures them."""

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.execution.documents import OperationType
from gateway.execution.encoding import Response
from gateway.execution.errors import Refusal

Result = TypeVar("Result")

Observe = Callable[[OperationType | None, str, float], None]
"""Is told of each operation: its type, where it got as far as that; what became of it; and the seconds it took.

What became of it is OK, ABANDONED where nobody waited for it any more, or the code of its first error. A subscription
has come to its end, for this, when its stream was opened.
"""


async def observed(observe: Observe | None, operation_type: OperationType, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work, and tell what became of it."""
    if observe is None:
        return await work
    outcome, started = "ABANDONED", time.perf_counter()
    try:
        result = await work
        outcome = _outcome(result)
    except Refusal as refusal:
        outcome = refusal.code
        raise
    finally:
        observe(operation_type, outcome, time.perf_counter() - started)
    return result


def _outcome(result: object) -> str:
    if isinstance(result, Response) and result.errors:
        return str(result.errors[0]["extensions"]["code"])
    return "OK"
