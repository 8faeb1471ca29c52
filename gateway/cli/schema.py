"""`gateway schema`: the SDL that the code makes, and how it differs from another one."""

import difflib
import sys
from pathlib import Path

from graphql import GraphQLError, build_schema, find_breaking_changes

from gateway.schema.schema import print_sdl

_ADVICE = 'Keep what they use beside its successor, and deprecate it: deprecation_reason="Use …".'


async def print_or_check_schema(*, check: Path | None) -> int:
    """Print the SDL; with a file to check, print how it differs from the SDL instead, and what breaks clients."""
    sdl = print_sdl()
    if check is not None:
        return _check(check, sdl=sdl)
    sys.stdout.write(sdl)
    return 0


def _check(check: Path, *, sdl: str) -> int:
    try:
        kept = check.read_text(encoding="utf-8")
    except FileNotFoundError:
        sys.stderr.write(f"gateway: there is no {check}. Make it: gateway schema > {check}\n")
        return 1
    if kept == sdl:
        print(f"{check} is what the code prints")
        return 0
    difference = difflib.unified_diff(
        kept.splitlines(keepends=True), sdl.splitlines(keepends=True), fromfile=str(check), tofile="the code"
    )
    sys.stdout.writelines(difference)
    try:
        breaking = breaking_changes(kept, sdl)
    except GraphQLError as error:
        sys.stderr.write(f"gateway: {check} is not a schema: {error.message}\n")
        return 1
    if breaking:
        lines = "".join(f"  {change}\n" for change in breaking)
        sys.stderr.write(f"gateway: clients of {check} would break:\n{lines}{_ADVICE}\n")
    sys.stderr.write(f"gateway: {check} is not what the code prints. If the code is right: gateway schema > {check}\n")
    return 1


def breaking_changes(old: str, new: str) -> list[str]:
    """Describe the changes from one SDL to another that break clients. Raises GraphQLError where one is not SDL."""
    return [change.description for change in find_breaking_changes(build_schema(old), build_schema(new))]
