import json
import re
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.errors import InvalidInput
from gateway.domain.input_problems import InputProblem, InputProblemCode
from gateway.domain.json_text import read_json
from gateway.domain.metadata import changed_keys, decode_metadata
from tests.domain.examples import encoded

Problem = tuple[tuple[str, ...], InputProblemCode, int | None]


def problem(path: str, code: InputProblemCode, limit: int | None = None) -> Problem:
    return tuple(f"metadata{path}".split("/")), code, limit


def problems_of(value: object) -> list[Problem]:
    with pytest.raises(InvalidInput) as raised:
        encoded(value)
    return [(each.path, each.code, each.limit) for each in raised.value.problems]


def stored_or_refused(value: object) -> tuple[str | None, tuple[InputProblem, ...]]:
    try:
        return encoded(value), ()
    except InvalidInput as invalid:
        return None, invalid.problems


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"":""}',
        '{"z":1,"a":{"y":2,"b":3}}',
        '{"integers":[0,-0,-1,12345678901234567890123456789012345678901234567890]}',
        '{"fractions":[1,1.0,1.00,-0.0,0.1,1e2,1E+2,1e-7,0.0000001,100,1.5E300,3.141592653589793238462643383279]}',
        '{"constants":[true,false,null]}',
        '{"unicode":"Grüße, 世界 🎉\u2028\u007f","é":"e\u0301"}',
        '{"escapes":"\\" \\\\ \\n \\r \\t \\b \\f \\u0001 \\u001f /"}',
        '{"empty":[{},[],"",{"":{"":null}}]}',
        '{"__proto__":{"constructor":1},"a/b~c":2," ":3}',
    ],
)
def test_text_within_the_limits_comes_back_byte_for_byte(text: str) -> None:
    assert encoded(decode_metadata(text)) == text


def test_whitespace_and_needless_escapes_are_removed() -> None:
    assert encoded(read_json(' { "a\\/b" : [ 1 , "\\u00e9\\ud83c\\udf89" ] } ')) == '{"a/b":[1,"é🎉"]}'


def test_plain_decimals_and_finite_floats_are_accepted() -> None:
    value = {"a": Decimal("1.50"), "b": Decimal("1E+2"), "c": Decimal("-0.0"), "d": 0.5, "e": 1e300}
    assert encoded(value) == '{"a":1.50,"b":1E+2,"c":-0.0,"d":0.5,"e":1e+300}'


@pytest.mark.parametrize("value", [None, True, 1, 1.5, Decimal(1), "text", [], [{}]])
def test_only_an_object_is_metadata(value: object) -> None:
    assert problems_of(value) == [problem("", InputProblemCode.NOT_AN_OBJECT)]


def test_fifty_keys_are_accepted_and_one_more_is_not() -> None:
    keys = {f"key-{number}": number for number in range(50)}
    assert decode_metadata(encoded(keys)) == keys
    assert problems_of(keys | {"more": 1}) == [problem("", InputProblemCode.TOO_MANY, 50)]


def test_keys_are_counted_on_the_top_level_only() -> None:
    inside = {f"key-{number}": number for number in range(51)}
    assert decode_metadata(encoded({"a": inside})) == {"a": inside}


def test_a_key_of_forty_characters_is_accepted_and_a_longer_one_is_not_on_any_level() -> None:
    assert encoded({"ü" * 40: 1}) == f'{{"{"ü" * 40}":1}}'
    assert problems_of({"ü" * 41: {"b" * 500: 1}}) == [
        problem(f"/{'ü' * 40}…", InputProblemCode.TOO_LONG, 40),
        problem(f"/{'ü' * 40}…/{'b' * 40}…", InputProblemCode.TOO_LONG, 40),
    ]


@pytest.mark.parametrize(("filling", "size"), [("a", 1), ("é", 2), ("世", 3), ("🎉", 4), ("\n", 2), ("\x01", 6)])
def test_size_is_that_of_the_stored_bytes(filling: str, size: int) -> None:
    count, rest = divmod(16 * 1024 - len('{"k":""}'), size)
    largest = {"k": filling * count + "a" * rest}
    assert len(encoded(largest).encode()) == 16 * 1024
    assert problems_of({"k": largest["k"] + "a"}) == [problem("", InputProblemCode.TOO_LARGE, 16384)]


def test_the_check_stops_where_the_metadata_is_too_large_in_any_case() -> None:
    assert problems_of({"a": ["\0", *[1] * 8189, "\0", "\0"]}) == [
        problem("/a/0", InputProblemCode.NOT_STORABLE),
        problem("/a/8190", InputProblemCode.NOT_STORABLE),
        problem("", InputProblemCode.TOO_LARGE, 16384),
    ]
    most_values = {"a": [1] * 8188}
    assert len(encoded(most_values)) == 16 * 1024 - 1


def test_eight_levels_are_accepted_and_one_more_is_not() -> None:
    assert decode_metadata(encoded(nested(8))) == nested(8)
    assert problems_of(nested(9)) == [problem("/a/a/a/a/a/a/a/a", InputProblemCode.TOO_DEEP, 8)]


def test_arrays_are_levels_too() -> None:
    assert encoded({"a": [[[[[[[1]]]]]]]}) == '{"a":[[[[[[[1]]]]]]]}'
    assert problems_of({"a": [[[[[[[[]]]]]]]]}) == [problem("/a/0/0/0/0/0/0/0", InputProblemCode.TOO_DEEP, 8)]


def test_depth_beyond_the_stack_is_an_ordinary_problem() -> None:
    assert problems_of(nested(sys.getrecursionlimit() * 10)) == [
        problem("/a/a/a/a/a/a/a/a", InputProblemCode.TOO_DEEP, 8)
    ]


def test_nul_and_lone_surrogates_are_found_in_strings_and_keys() -> None:
    assert problems_of({"a": "x\0", "b\0": 1, "c": ["\ud83c"], "\udf89": "\udf89"}) == [
        problem("/a", InputProblemCode.NOT_STORABLE),
        problem("/b\\u0000", InputProblemCode.NOT_STORABLE),
        problem("/c/0", InputProblemCode.NOT_STORABLE),
        problem("/\\udf89", InputProblemCode.NOT_STORABLE),
    ]


@pytest.mark.parametrize(
    "number",
    [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("sNaN")],
)
def test_nan_and_infinities_are_rejected(number: object) -> None:
    assert problems_of({"a": [number]}) == [problem("/a/0", InputProblemCode.NOT_STORABLE)]


@pytest.mark.parametrize("text", ["1e131071", "9.9e131071", "-1e131071", "1e-16383", "0e131071", f"0.{'1' * 16000}"])
def test_numbers_within_range_are_accepted(text: str) -> None:
    assert encoded(read_json(f'{{"a":{text}}}')) == f'{{"a":{text}}}'


@pytest.mark.parametrize(
    "text",
    ["1e131072", "-1e999999", "1e-16384", "1.50e-16382", "1e99999999999999999999", "-1e99999999999999999999"],
)
def test_numbers_out_of_range_are_rejected(text: str) -> None:
    assert problems_of(read_json(f'{{"a":{text}}}')) == [problem("/a", InputProblemCode.NOT_STORABLE)]


def test_int_with_more_digits_than_python_converts_is_encoded() -> None:
    assert encoded({"a": 10**5000, "b": -(10**5000)}) == f'{{"a":1{"0" * 5000},"b":-1{"0" * 5000}}}'


def test_an_int_out_of_range_is_rejected() -> None:
    assert problems_of({"a": 10**131072}) == [problem("/a", InputProblemCode.NOT_STORABLE)]


def test_all_problems_are_reported_at_once_each_at_its_path() -> None:
    value = {f"key-{number}": number for number in range(50)}
    hostile = value | {"a/b~c": {"": ["\0\ud800"]}, "x" * 41: float("nan"), "big": "b" * 20_000, "deep": nested(8)}
    assert problems_of(hostile) == [
        problem("", InputProblemCode.TOO_MANY, 50),
        (("metadata", "a/b~c", "", "0"), InputProblemCode.NOT_STORABLE, None),
        (("metadata", "a/b~c", "", "0"), InputProblemCode.NOT_STORABLE, None),
        problem(f"/{'x' * 40}…", InputProblemCode.TOO_LONG, 40),
        problem(f"/{'x' * 40}…", InputProblemCode.NOT_STORABLE),
        problem("/deep/a/a/a/a/a/a/a", InputProblemCode.TOO_DEEP, 8),
        problem("", InputProblemCode.TOO_LARGE, 16384),
    ]


def test_a_key_and_its_value_that_violate_one_rule_are_one_problem() -> None:
    assert problems_of({"\0": "\0"}) == [problem("/\\u0000", InputProblemCode.NOT_STORABLE)]


def test_at_most_a_hundred_problems_are_reported() -> None:
    assert problems_of({"a": ["\0"] * 10_000}) == [
        problem(f"/a/{index}", InputProblemCode.NOT_STORABLE) for index in range(100)
    ]


def test_a_value_that_is_not_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=re.escape("set is no JSON value")):
        encoded({"a": {1, 2}})


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("{}", "{}", ()),
        ('{"a":1}', '{"a":1}', ()),
        ('{"a":1,"b":2}', '{"b":2,"a":1}', ()),
        ('{"a":{"x":1,"y":[{"p":1,"q":2}]}}', '{"a":{"y":[{"q":2,"p":1}],"x":1}}', ()),
        ('{"z":1}', '{"a":1}', ("a", "z")),
        ('{"a":1}', '{"a":1.0}', ("a",)),
        ('{"a":1}', '{"a":true}', ("a",)),
        ('{"a":0}', '{"a":false}', ("a",)),
        ('{"a":-0.0}', '{"a":0.0}', ("a",)),
        ('{"a":100}', '{"a":1e2}', ("a",)),
        ('{"a":1e2}', '{"a":1E+2}', ("a",)),
        ('{"a":1}', '{"a":"1"}', ("a",)),
        ('{"a":[1]}', '{"a":1}', ("a",)),
        ('{"a":[1,2]}', '{"a":[2,1]}', ("a",)),
        ('{"a":{"b":{"c":1}}}', '{"a":{"b":{"c":2}}}', ("a",)),
        ('{"a":null}', "{}", ("a",)),
        ("{}", '{"":null}', ("",)),
    ],
)
def test_changed_keys_are_those_whose_value_differs_for_a_reader(
    before: str, after: str, changed: tuple[str, ...]
) -> None:
    assert changed_keys(before, after) == changed
    assert changed_keys(after, before) == changed
    assert changed_keys(decode_metadata(before), decode_metadata(after)) == changed


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(min_value=-9, max_value=9)
keys = st.text(characters, max_size=40)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(characters, max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)


@given(value=st.dictionaries(keys | st.text(max_size=60), values | st.text(max_size=99), max_size=10))
@example(value={"a": 'quo"ted', "b" * 41: 0})
@example(value={"a": [[[[[[[["deep"]]]]]]]]})
@example(value={"a": "long" * 4096})
@example(value={"a": "\ud800", "b": ["\0"]})
def test_whole_text_is_encoded_and_refused_like_each_of_its_values(value: dict[str, Any]) -> None:
    """Metadata without fractions is encoded at once; a fraction has every value looked at."""
    whole, broken = stored_or_refused(value)
    each, broken_with_fraction = stored_or_refused(value | {"fraction": Decimal("0.5")})
    assert broken == broken_with_fraction
    if whole is not None:
        assert each == f'{whole[:-1]}{"," * bool(value)}"fraction":0.5}}'


@given(value=st.dictionaries(keys, values, max_size=10))
@example(value={"a": Decimal("-0E-16383")})
def test_any_value_within_the_limits_comes_back_equal(value: dict[str, Any]) -> None:
    text, broken = stored_or_refused(value)
    if text is not None:
        assert json.loads(text, parse_float=Decimal) == value
        assert encoded(decode_metadata(text)) == text
        assert changed_keys(value, text) == ()
    assert {found.code for found in broken} <= {
        InputProblemCode.TOO_DEEP,
        InputProblemCode.TOO_LARGE,
        InputProblemCode.NOT_STORABLE,
    }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters()), inner, max_size=5),
)


@given(value=anything)
def test_any_value_is_stored_or_rejected_with_printable_paths(value: object) -> None:
    text, broken = stored_or_refused(value)
    if text is not None:
        assert len(text.encode()) <= 16 * 1024
    else:
        assert 1 <= len(broken) <= 100
    assert all(step.isprintable() and len(step) <= 250 for found in broken for step in found.path)
