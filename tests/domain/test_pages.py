import pytest

from gateway.domain.errors import BadUserInput
from gateway.domain.pages import Page, Window, window


def asked(
    *, first: int | None = None, after: str | None = None, last: int | None = None, before: str | None = None
) -> Window[str]:
    def place(cursor: str, argument: str) -> str:
        return f"{argument} {cursor}"

    return window(first=first, after=after, last=last, before=before, place=place)


def test_without_arguments_a_page_is_the_first_twenty() -> None:
    assert asked() == Window(size=20, backward=False, after=None, before=None)


def test_cursors_are_decoded_with_the_name_of_their_argument() -> None:
    assert asked(first=0, after="a", before="b") == Window(size=0, backward=False, after="after a", before="before b")
    assert asked(last=100, before="b") == Window(size=100, backward=True, after=None, before="before b")


def test_before_alone_is_a_page_of_the_twenty_rows_just_before() -> None:
    assert asked(before="b") == Window(size=20, backward=True, after=None, before="before b")
    assert asked(after="a", before="b") == Window(size=20, backward=False, after="after a", before="before b")


@pytest.mark.parametrize(
    ("first", "last", "message", "argument"),
    [
        (1, 1, "Give either first or last, not both.", "last"),
        (-1, None, "first must be from 0 to 100, not -1.", "first"),
        (101, None, "first must be from 0 to 100, not 101.", "first"),
        (None, -1, "last must be from 0 to 100, not -1.", "last"),
        (None, 101, "last must be from 0 to 100, not 101.", "last"),
    ],
)
def test_page_sizes_out_of_bounds_are_bad_input(
    first: int | None, last: int | None, message: str, argument: str
) -> None:
    with pytest.raises(BadUserInput) as refused:
        asked(first=first, last=last)
    assert (refused.value.message, refused.value.extensions) == (message, {"argument": argument})


@pytest.mark.parametrize(
    ("asked_for", "found", "page"),
    [
        (asked(first=2), [1, 2, 3], Page(items=[1, 2], has_next=True, has_previous=False)),
        (asked(first=2), [1, 2], Page(items=[1, 2], has_next=False, has_previous=False)),
        (asked(first=2, after="a"), [], Page(items=[], has_next=False, has_previous=True)),
        (asked(last=2), [3, 2, 1], Page(items=[2, 3], has_next=False, has_previous=True)),
        (asked(last=2, before="b"), [3, 2], Page(items=[2, 3], has_next=True, has_previous=False)),
        (asked(first=0), [1], Page(items=[], has_next=True, has_previous=False)),
    ],
)
def test_a_page_is_in_the_order_of_the_list(asked_for: Window[str], found: list[int], page: Page[int]) -> None:
    assert asked_for.page(found) == page
