"""Questions about a made world: what can be asked of it, how an answer is read, and where it says too much."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from asyncpg import Record

from gateway.domain.cursors import Keyset, Position, decode_keyset, decode_position, encode_keyset, encode_position
from gateway.domain.errors import BadUserInput
from tests.generation.plans import identifier, mark
from tests.generation.sight import Sight, all_texts
from tests.generation.worlds import World

_ORDERS = [f"{column} {way}" for column in ("CREATED_AT", "UPDATED_AT") for way in ("ASC", "DESC")]


def known_in(world: World) -> dict[str, list[str]]:
    """Tell what placeholders stand for: things that are there, whoever sees them."""
    plan = world.plan
    installations = {str(event["installation_id"]): None for event in world.events}
    return {
        "application": [str(row.id) for row in plan.applications],
        "account": [str(row.id) for row in plan.accounts],
        "installation": list(installations),
        "absent": [str(identifier("absent", number)) for number in range(3)],
        "slug": [row.slug for row in plan.applications],
        "word": [*(row.mark for row in plan.applications), "name", "accounting"],
        "secret": [deed.secret for deed in plan.deeds],
        "NAME ASC": [
            encode_keyset(Keyset(value=row["name"], id=row["id"]), connection="applications", order="NAME ASC")
            for row in world.applications
        ],
    } | {order: [_installation_cursor(row, order=order) for row in world.installations] for order in _ORDERS}


def _installation_cursor(row: Record, *, order: str) -> str:
    column = order.split(maxsplit=1)[0].lower()
    return encode_keyset(Keyset(value=row[column], id=row["id"]), connection="installations", order=order)


def settled(answer: str) -> str:
    """Put an answer's errors in one order: they stand as they happened, and fields fail whenever their reading ends."""
    body = json.loads(answer)
    if "errors" in body:
        body["errors"].sort(key=json.dumps)
    return json.dumps(body)


@dataclass(frozen=True)
class Reading:
    """How one caller's answers about one world are read."""

    sight: Sight

    @cached_property
    def hidden(self) -> list[str]:
        """Every traceable text that this caller must not be told."""
        return sorted(all_texts(self.sight.world) - self.sight.texts)

    @cached_property
    def places(self) -> dict[str, list[str]]:
        """The cursors of events, and of those that the caller does not see."""
        world, mine = self.sight.world, {event["id"] for event in self.sight.events}
        return {
            "start": [encode_position(world.start)],
            "end": [encode_position(world.end)],
            "event": [encode_position(world.position(event)) for event in self.sight.events],
            "foreign": [encode_position(world.position(one)) for one in world.events if one["id"] not in mine],
        }

    def leaks(self, answer: str, *, asked: str) -> list[str]:
        """Find what an answer shows and must not: texts, cursors, ids of events. An error may repeat what was asked."""
        body = json.loads(answer)
        data, errors = (json.dumps(body.get(part)) for part in ("data", "errors"))
        texts = [text for text in self.hidden if text in data or (text in errors and text not in asked)]
        return [*texts, *(place.text for place in _places(body.get("data")) if self._is_foreign(place))]

    def _is_foreign(self, place: "Place") -> bool:
        match place.what:
            case Position() as position if place.name == "eventCursor":
                return position != self.sight.world.end
            case Position() as position:
                return position not in self._positions
            case Keyset() as keyset:
                return keyset.id not in self.sight.ids
            case int() as number:
                return number not in {position.id for position in self._positions}
            case _:
                return False

    @cached_property
    def _positions(self) -> Mapping[Position, str]:
        world = self.sight.world
        return {
            world.position(event): f"version {event['version']} of {event['installation_id']}"
            for event in self.sight.events
        }

    def without_places(self, answer: str) -> str:
        """Name each event in place of its cursor and id: these depend on what else happened between."""
        named = {str(position.id): name for position, name in self._positions.items()}
        named |= {encode_position(position): name for position, name in self._positions.items()}
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

        return settled(json.dumps(renamed(None, json.loads(answer))))

    def with_absent(self, text: str) -> str:
        """Ask of things that are nowhere in place of those that this caller does not see."""
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
        own = {str(self.sight.caller.account_id)}  # which an application may be bound to, and not see
        return {
            hidden: mark("absent", hidden) if hidden.startswith("z") else str(identifier("absent", hidden))
            for hidden in self.hidden
            if hidden not in own
        }


@dataclass(frozen=True)
class Place:
    """A text of an answer that says where something is."""

    name: str | None
    text: str

    @property
    def what(self) -> Position | Keyset | int | None:
        if self.text.isdecimal():
            return int(self.text)
        try:
            return decode_position(self.text, argument="after")
        except BadUserInput:
            return self._keyset()

    def _keyset(self) -> Keyset | None:
        lists = [("applications", "NAME ASC", str), *(("installations", order, datetime) for order in _ORDERS)]
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
