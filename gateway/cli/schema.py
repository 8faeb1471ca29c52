"""`gateway schema`: the SDL that the code makes."""

import difflib
import sys
from pathlib import Path

from gateway.schema.schema import print_sdl


def show_sdl() -> int:
    sys.stdout.write(print_sdl())
    return 0


def check_sdl(path: Path) -> int:
    """Compare the code's SDL with a file; say what differs."""
    try:
        kept = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        sys.stderr.write(f"gateway: there is no {path}. Make it: gateway schema > {path}\n")
        return 1
    made = print_sdl()
    if kept == made:
        print(f"{path} is what the code prints")
        return 0
    difference = difflib.unified_diff(
        kept.splitlines(keepends=True), made.splitlines(keepends=True), fromfile=str(path), tofile="the code"
    )
    sys.stdout.writelines(difference)
    sys.stderr.write(f"gateway: {path} is not what the code prints. Where the code is right: gateway schema > {path}\n")
    return 1
