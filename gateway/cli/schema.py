"""`gateway schema`: the SDL that the code makes."""

import difflib
import sys
from pathlib import Path

from gateway.schema.schema import print_sdl


async def print_or_check_schema(*, check: Path | None) -> int:
    """Print the SDL; with a file to check, print how it differs from the SDL instead."""
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
    sys.stderr.write(f"gateway: {check} is not what the code prints. If the code is right: gateway schema > {check}\n")
    return 1
