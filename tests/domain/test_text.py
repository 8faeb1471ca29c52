from collections.abc import Iterator

import pytest

from gateway.domain.errors import BadUserInput
from gateway.domain.input_checks import InputCheck
from gateway.domain.input_problems import BrokenRule
from gateway.domain.input_problems import InputProblemCode as Code
from gateway.domain.text import checked_text, slug_problems, text_problems, url_problems


def codes(problems: Iterator[BrokenRule]) -> list[tuple[Code, int | None]]:
    return [(problem.code, problem.limit) for problem in problems]


@pytest.mark.parametrize("value", ["a", "Müller & Söhne 🎉", " spaces stay ", "line\nbreak", "x" * 20])
def test_valid_text_is_returned_unchanged(value: str) -> None:
    assert checked_text(value, name="name", most=20) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "name: Must not be blank."),
        (" \t\n\u3000", "name: Must not be blank."),
        ("x" * 21, "name: Has 21 characters; at most 20 are allowed."),
        ("a\0b", "name: Has the character U+0000, which cannot be stored."),
        ("a\ud83cb", "name: Has half of a surrogate pair, which is no character."),
    ],
)
def test_argument_that_cannot_be_stored_is_bad_input(value: str, message: str) -> None:
    with pytest.raises(BadUserInput) as raised:
        checked_text(value, name="name", most=20)
    assert (raised.value.message, raised.value.extensions) == (message, {"argument": "name"})


def test_a_text_has_all_of_its_problems() -> None:
    assert codes(text_problems(" \0\ud83c", most=2)) == [(Code.TOO_LONG, 2), *[(Code.NOT_STORABLE, None)] * 2]
    assert codes(text_problems("   ", most=2)) == [(Code.TOO_LONG, 2), (Code.BLANK, None)]


def test_text_may_be_blank_where_that_is_allowed() -> None:
    assert checked_text("", name="description", most=20, may_be_blank=True) == ""


@pytest.mark.parametrize("value", ["ab", "a1", "42", "acme-books", "a-b-c-1", "x" * 63])
def test_a_slug_has_no_problem(value: str) -> None:
    assert codes(slug_problems(value)) == []


@pytest.mark.parametrize(
    "value", ["Acme", "a_b", "a b", "-ab", "ab-", "a--b", "ab\n", "é1", "٣٣", "a\0", "\ud800\ud800"]
)
def test_a_slug_of_other_characters_is_malformed(value: str) -> None:
    assert (Code.MALFORMED, None) in codes(slug_problems(value))


def test_a_slug_has_two_to_63_characters() -> None:
    assert codes(slug_problems("")) == codes(slug_problems("a")) == [(Code.TOO_SHORT, 2)]
    assert codes(slug_problems("x" * 64)) == [(Code.TOO_LONG, 63)]
    assert codes(slug_problems("X" * 64)) == [(Code.TOO_LONG, 63), (Code.MALFORMED, None)]


@pytest.mark.parametrize(
    "value",
    [
        "https://example.com/logo.svg",
        "http://localhost:8000/a?b=c&d=%20#e",
        "HTTPS://xn--bcher-kva.example",
        "https://[::1]/logo",
        "https://example.com/" + "x" * 2028,
    ],
)
def test_a_url_has_no_problem(value: str) -> None:
    assert codes(url_problems(value)) == []


@pytest.mark.parametrize(
    "value",
    [
        "",
        "example.com/logo.svg",
        "//example.com/logo.svg",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "ftp://example.com",
        "https://",
        "https:///logo",
        "https://exa mple.com",
        "https://example.com/\n",
        "https://example.com/\0",
        "https://example.com/é",
        "https://example.com/\ud800",
        'https://example.com/"onload=',
        "https://example.com:port/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://user:secret@example.com/",
    ],
)
def test_anything_else_is_no_url(value: str) -> None:
    assert (Code.MALFORMED, None) in codes(url_problems(value))


def test_a_url_is_limited() -> None:
    assert codes(url_problems("https://example.com/" + "x" * 2029)) == [(Code.TOO_LONG, 2048)]


def test_a_message_may_be_left_out_blank_or_long() -> None:
    check = InputCheck()
    for message in (None, "", "x" * 1000):
        check.message(message)
    assert not check.problems
    check.message("x" * 1001)
    assert [(problem.path, problem.code, problem.limit) for problem in check.problems] == [
        (("message",), Code.TOO_LONG, 1000)
    ]
