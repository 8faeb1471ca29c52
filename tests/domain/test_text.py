import pytest

from gateway.domain.errors import BadUserInput
from gateway.domain.text import checked_message, checked_slug, checked_text, checked_url


@pytest.mark.parametrize("value", ["a", "Müller & Söhne 🎉", " spaces stay ", "line\nbreak", "x" * 20])
def test_valid_text_is_returned_unchanged(value: str) -> None:
    assert checked_text(value, name="name", most=20) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "name is blank."),
        (" \t\n\u3000", "name is blank."),
        ("x" * 21, "name has 21 characters; at most 20 are allowed."),
        ("a\0b", "name has the character U+0000, which cannot be stored."),
        ("a\ud83cb", "name has half of a surrogate pair, which is no character."),
    ],
)
def test_text_that_cannot_be_stored_is_bad_input(value: str, message: str) -> None:
    with pytest.raises(BadUserInput) as raised:
        checked_text(value, name="name", most=20)
    assert raised.value.message == message


def test_text_may_be_blank_where_that_is_allowed() -> None:
    assert checked_text("", name="description", most=20, may_be_blank=True) == ""


@pytest.mark.parametrize("value", ["ab", "a1", "42", "acme-books", "a-b-c-1", "x" * 63])
def test_a_slug_is_returned_unchanged(value: str) -> None:
    assert checked_slug(value, name="slug") == value


@pytest.mark.parametrize(
    "value",
    ["", "a", "x" * 64, "Acme", "a_b", "a b", "-ab", "ab-", "a--b", "ab\n", "é1", "٣٣", "a\0", "\ud800\ud800"],
)
def test_an_invalid_slug_is_bad_input(value: str) -> None:
    with pytest.raises(BadUserInput) as raised:
        checked_slug(value, name="slug")
    assert raised.value.message == (
        "slug must be 2 to 63 lower-case letters (a to z) and digits, with single hyphens between them."
    )


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
def test_a_url_is_returned_unchanged(value: str) -> None:
    assert checked_url(value, name="logoUrl") == value


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
        "https://example.com/" + "x" * 2029,
    ],
)
def test_an_invalid_url_is_bad_input(value: str) -> None:
    with pytest.raises(BadUserInput) as raised:
        checked_url(value, name="logoUrl")
    assert raised.value.message == (
        "logoUrl must be an absolute URL that starts with https:// or http://, without credentials,"
        " of at most 2048 of the characters that URLs may have."
    )


@pytest.mark.parametrize("message", [None, "", "x" * 1000])
def test_a_message_may_be_left_out_blank_or_long(message: str | None) -> None:
    assert checked_message(message) == message


def test_a_message_may_not_be_longer_than_the_limit() -> None:
    with pytest.raises(BadUserInput, match=r"^message has 1001 characters; at most 1000 are allowed\.$"):
        checked_message("x" * 1001)
