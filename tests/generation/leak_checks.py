"""Fill operations with values of a dataset, and find invisible values in a response."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from asyncpg import Record

from gateway.domain.cursors import Keyset, Position, decode_keyset, decode_position, encode_position, keyset_encoder
from gateway.domain.errors import BadUserInput
from tests.generation.datasets import Dataset
from tests.generation.plans import identifier, mark
from tests.generation.visible_rows import VisibleRows, all_texts

_ORDERS = [f"{column} {way}" for column in ("CREATED_AT", "UPDATED_AT") for way in ("ASC", "DESC")]


def placeholder_values(dataset: Dataset) -> dict[str, list[str]]:
    """Return the values of each placeholder: rows of the dataset, visible or not."""
    plan = dataset.plan
    installations = {str(event["installation_id"]): None for event in dataset.events}
    return {
        "application": [str(row.id) for row in plan.applications],
        "account": [str(row.id) for row in plan.accounts],
        "installation": list(installations),
        "absent": [str(identifier("absent", number)) for number in range(3)],
        "slug": [row.slug for row in plan.applications],
        "word": [*(row.mark for row in plan.applications), "name", "accounting"],
        "secret": [action.secret for action in plan.actions],
        "NAME ASC": [keyset_encoder("applications", "NAME ASC")(row["name"], row["id"]) for row in dataset.applications]
        + [keyset_encoder("accounts", "NAME ASC")(row["name"], row["id"]) for row in dataset.accounts],
    } | {order: [_installation_cursor(row, order=order) for row in dataset.installations] for order in _ORDERS}


def _installation_cursor(row: Record, *, order: str) -> str:
    column = order.split(maxsplit=1)[0].lower()
    return keyset_encoder("installations", order)(row[column], row["id"])


def with_sorted_errors(answer: str) -> str:
    """Sort the errors of an answer: their order depends on which field failed first."""
    body = json.loads(answer)
    if "errors" in body:
        body["errors"].sort(key=json.dumps)
    return json.dumps(body)


@dataclass(frozen=True)
class Reading:
    """Checks the answers of one caller about one dataset."""

    visible: VisibleRows

    @cached_property
    def hidden(self) -> list[str]:
        """Every traceable text that this caller must not see."""
        return sorted(all_texts(self.visible.dataset) - self.visible.texts)

    @cached_property
    def places(self) -> dict[str, list[str]]:
        """The cursors of events, and of those that the caller does not see."""
        dataset, mine = self.visible.dataset, {event["id"] for event in self.visible.events}
        return {
            "start": [encode_position(dataset.start)],
            "end": [encode_position(dataset.end)],
            "event": [encode_position(dataset.position(event)) for event in self.visible.events],
            "foreign": [encode_position(dataset.position(one)) for one in dataset.events if one["id"] not in mine],
        }

    def leaks(self, answer: str, *, asked: str) -> list[str]:
        """Return the invisible texts and cursors in an answer. An error may repeat the text of its request."""
        body = json.loads(answer)
        data, errors = (json.dumps(body.get(part)) for part in ("data", "errors"))
        texts = [text for text in self.hidden if text in data or (text in errors and text not in asked)]
        return [*texts, *(place.text for place in _places(body.get("data")) if self._is_foreign(place))]

    def _is_foreign(self, place: "Place") -> bool:
        match place.what:
            case Position() as position if place.name == "eventCursor":
                return position != self.visible.dataset.end
            case Position() as position:
                return position not in self._positions
            case Keyset() as keyset:
                return keyset.id not in self.visible.ids
            case _:
                return False

    @cached_property
    def _positions(self) -> Mapping[Position, str]:
        dataset = self.visible.dataset
        return {
            dataset.position(event): f"version {event['version']} of {event['installation_id']}"
            for event in self.visible.events
        }

    def without_places(self, answer: str) -> str:
        """Replace the cursors of events, which are their ids, by their names: they depend on other writes."""
        named = {encode_position(position): name for position, name in self._positions.items()}
        named |= {self.places["end"][0]: named.get(self.places["end"][0], "the end")}

        def renamed(name: str | None, value: Any) -> Any:
            match value:
                case dict():
                    return {key: renamed(key, member) for key, member in value.items()}
                case list():
                    return [renamed(name, item) for item in value]
                case str() if name == "eventCursor":
                    return "the end"
                case str():
                    return named.get(value, value)
                case _:
                    return value

        return with_sorted_errors(json.dumps(renamed(None, json.loads(answer))))

    def with_absent(self, text: str) -> str:
        """Replace invisible values by absent ones."""
        return self._exchanged(text, back=False)

    def with_hidden(self, text: str) -> str:
        return self._exchanged(text, back=True)

    def _exchanged(self, text: str, *, back: bool) -> str:
        pairs = self._absent
        if back:
            pairs = {absent: hidden for hidden, absent in pairs.items()}
        return re.sub("|".join(pairs), lambda found: pairs[found[0]], text) if pairs else text

    @cached_property
    def _absent(self) -> dict[str, str]:
        own = {str(self.visible.caller.account_id)}  # which an application may be bound to, and not see
        return {
            hidden: mark("absent", hidden) if hidden.startswith("z") else str(identifier("absent", hidden))
            for hidden in self.hidden
            if hidden not in own
        }


@dataclass(frozen=True)
class Place:
    """A text of an answer that may be a cursor."""

    name: str | None
    text: str

    @property
    def what(self) -> Position | Keyset | None:
        try:
            return decode_position(self.text, argument="after")
        except BadUserInput:
            return self._keyset()

    def _keyset(self) -> Keyset | None:
        names = [(listed, "NAME ASC", str) for listed in ("applications", "accounts")]
        lists = [*names, *(("installations", order, datetime) for order in _ORDERS)]
        for connection, order, kind in lists:
            try:
                return decode_keyset(self.text, connection=connection, order=order, value_type=kind, argument="after")
            except BadUserInput:
                continue
        return None


def _places(value: Any, *, name: str | None = None) -> Iterator[Place]:
    match value:
        case dict():
            for key, member in value.items():
                yield from _places(member, name=key)
        case list():
            for item in value:
                yield from _places(item, name=name)
        case str():
            yield Place(name, value)
