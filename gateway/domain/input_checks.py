"""Collects what is wrong with the input of a mutation, so that a form can show every problem beside its field."""

from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from gateway.domain.errors import InvalidInput
from gateway.domain.input_problems import MAX_PROBLEMS, BrokenRule, InputProblem, InputProblemCode, Path
from gateway.domain.text import MOST_MESSAGE_CHARACTERS, UUID_FORM, text_problems

Id: TypeAlias = UUID | str
"""An id as a caller wrote it, or as code passes it on."""
NO_ID = UUID(int=0)
"""Stands for an id with a problem."""


@dataclass(slots=True, eq=False)
class InputCheck:
    """The problems of one input. What is returned for a value with a problem is not used: `finish` raises before."""

    problems: dict[InputProblem, None] = field(default_factory=dict)
    """In the order found, each once: a key and its value may break the same rule at the same path."""

    def report(self, path: Path, *rules: BrokenRule) -> None:
        """Add the rules that the value at `path` breaks. Raises InvalidInput once there are MAX_PROBLEMS."""
        for rule in rules:
            self.problems[InputProblem.at(path, rule)] = None
            if len(self.problems) == MAX_PROBLEMS:
                self.finish()

    def finish(self) -> None:
        """Raise InvalidInput with all problems, where there are any."""
        if self.problems:
            raise InvalidInput(tuple(self.problems))

    def id(self, value: Id, *path: str) -> UUID:
        """Return the UUID that the value is, or writes."""
        if isinstance(value, UUID):
            return value
        if UUID_FORM.fullmatch(value):
            return UUID(value)
        message = "Must be a UUID, such as 7d444840-9dc0-11d1-b245-5ffdce74fad2."
        self.report(path, BrokenRule(InputProblemCode.MALFORMED, message))
        return NO_ID

    def message(self, value: str | None) -> None:
        """Check the `message` of an input, which may be left out."""
        if value is not None:
            self.report(("message",), *text_problems(value, most=MOST_MESSAGE_CHARACTERS, may_be_blank=True))

    def optional_id(self, value: Id | None, *path: str) -> UUID | None:
        """Return the UUID that the value is, or writes; None where it is left out."""
        return None if value is None else self.id(value, *path)
