"""`gateway documents register`."""

import json
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.database_target import database_target, open_services
from gateway.domain.errors import BadUserInput, GatewayError
from gateway.domain.text import sha256_of
from gateway.settings import read_settings
from gateway.usecases.documents import register_documents
from gateway.wiring import build_documents

SUFFIXES = frozenset({".graphql", ".gql"})


async def register(*, data: Path | None, source: Path) -> int:
    """Check documents against the schema and register all of them, or none; print their digests and names."""
    settings = read_settings()
    checked = build_documents(settings, introspection=True)
    documents = dict(_load(source))
    if not documents:
        raise BadUserInput(
            f"{source} has no documents: give a directory of .graphql files, one of them, or a manifest."
        )
    for name, text in documents.items():
        try:
            checked.check(text)
        except GatewayError as error:
            raise BadUserInput(f"{name} cannot be registered: {error}") from None
    async with database_target(data) as target, open_services(target, settings) as services:
        new = await register_documents(services, texts=list(documents.values()))
    for name, text in documents.items():
        print(f"{sha256_of(text).hex()}  {name}")
    print(f"{len(documents)} documents, {new} of them new")
    return 0


def _load(source: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each document."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix in SUFFIXES:
                yield str(path.relative_to(source)), _read(path)
    elif source.suffix in SUFFIXES:
        yield source.name, _read(source)
    else:
        yield from _load_manifest(source)


def _load_manifest(source: Path) -> Iterator[tuple[str, str]]:
    """Read a JSON object of texts by their SHA-256, and check the SHA-256."""
    try:
        manifest = json.loads(_read(source))
    except json.JSONDecodeError as error:
        raise BadUserInput(f"{source} is no JSON: {error}.") from None
    if not isinstance(manifest, dict):
        raise BadUserInput(f"{source} has to be a JSON object: a document's text by its SHA-256.")
    for name, text in manifest.items():
        if not isinstance(text, str) or name.removeprefix("sha256:") != sha256_of(text).hex():
            raise BadUserInput(f"{name} in {source} is not the SHA-256 of its document.")
        yield name, text


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise BadUserInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadUserInput(f"{path} is not in UTF-8.") from None
