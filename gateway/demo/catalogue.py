"""The example marketplace and its accounts, from catalogue.toml.

Their ids are derived from their slugs and names: the same in every database.
"""

import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID, uuid5

from pydantic import TypeAdapter

from gateway.domain.installations import Account, AuthorizationMethod

example_id = partial(uuid5, UUID("6f1d2f6e-6b0e-5b8e-9d51-0c2f7a1e4b90"))
"""Derives the id of an example from its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleApplication:
    """One application of the example marketplace."""

    slug: str
    name: str
    description: str
    categories: tuple[str, ...]
    authorization_method: AuthorizationMethod
    requires_configuration: bool = False
    listed: bool = True

    @property
    def id(self) -> UUID:
        return example_id(self.slug)


_CATALOGUE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
APPLICATIONS = TypeAdapter(tuple[ExampleApplication, ...]).validate_python(_CATALOGUE["applications"])
ACCOUNTS = tuple(Account(id=example_id(name), name=name) for name in _CATALOGUE["accounts"])
