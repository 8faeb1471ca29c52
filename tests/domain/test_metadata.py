import json
import re
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.errors import MetadataRejected
from gateway.domain.json_text import read_json
from gateway.domain.metadata import changed_keys, decode_metadata, encode_metadata
from gateway.domain.metadata_rules import MetadataRule, MetadataViolation


def violation(path: str, rule: MetadataRule, limit: int | None = None) -> MetadataViolation:
    return MetadataViolation(path=path, rule=rule, limit=limit)


def violations_of(value: object) -> list[MetadataViolation]:
    with pytest.raises(MetadataRejected) as raised:
        encode_metadata(value)
    return list(raised.value.violations)


def stored_or_refused(value: object) -> tuple[str | None, tuple[MetadataViolation, ...]]:
    try:
        return encode_metadata(value), ()
    except MetadataRejected as rejected:
        return None, rejected.violations


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
    assert encode_metadata(decode_metadata(text)) == text


def test_whitespace_and_needless_escapes_are_removed() -> None:
    assert encode_metadata(read_json(' { "a\\/b" : [ 1 , "\\u00e9\\ud83c\\udf89" ] } ')) == '{"a/b":[1,"é🎉"]}'


def test_plain_decimals_and_finite_floats_are_accepted() -> None:
    value = {"a": Decimal("1.50"), "b": Decimal("1E+2"), "c": Decimal("-0.0"), "d": 0.5, "e": 1e300}
    assert encode_metadata(value) == '{"a":1.50,"b":1E+2,"c":-0.0,"d":0.5,"e":1e+300}'


@pytest.mark.parametrize("value", [None, True, 1, 1.5, Decimal(1), "text", [], [{}]])
def test_only_an_object_is_metadata(value: object) -> None:
    assert violations_of(value) == [violation("", MetadataRule.NOT_AN_OBJECT)]


def test_fifty_keys_are_accepted_and_one_more_is_not() -> None:
    keys = {f"key-{number}": number for number in range(50)}
    assert decode_metadata(encode_metadata(keys)) == keys
    assert violations_of(keys | {"more": 1}) == [violation("", MetadataRule.TOO_MANY_KEYS, 50)]


def test_keys_are_counted_on_the_top_level_only() -> None:
    inside = {f"key-{number}": number for number in range(51)}
    assert decode_metadata(encode_metadata({"a": inside})) == {"a": inside}


def test_a_key_of_forty_characters_is_accepted_and_a_longer_one_is_not_on_any_level() -> None:
    assert encode_metadata({"ü" * 40: 1}) == f'{{"{"ü" * 40}":1}}'
    assert violations_of({"ü" * 41: {"b" * 500: 1}}) == [
        violation(f"/{'ü' * 40}…", MetadataRule.KEY_TOO_LONG, 40),
        violation(f"/{'ü' * 40}…/{'b' * 40}…", MetadataRule.KEY_TOO_LONG, 40),
    ]


@pytest.mark.parametrize(("filling", "size"), [("a", 1), ("é", 2), ("世", 3), ("🎉", 4), ("\n", 2), ("\x01", 6)])
def test_size_is_that_of_the_stored_bytes(filling: str, size: int) -> None:
    count, rest = divmod(16 * 1024 - len('{"k":""}'), size)
    largest = {"k": filling * count + "a" * rest}
    assert len(encode_metadata(largest).encode()) == 16 * 1024
    assert violations_of({"k": largest["k"] + "a"}) == [violation("", MetadataRule.TOO_LARGE, 16384)]


def test_the_check_stops_where_the_metadata_is_too_large_in_any_case() -> None:
    assert violations_of({"a": ["\0", *[1] * 8189, "\0", "\0"]}) == [
        violation("/a/0", MetadataRule.NUL_CHARACTER),
        violation("/a/8190", MetadataRule.NUL_CHARACTER),
        violation("", MetadataRule.TOO_LARGE, 16384),
    ]
    most_values = {"a": [1] * 8188}
    assert len(encode_metadata(most_values)) == 16 * 1024 - 1


def test_eight_levels_are_accepted_and_one_more_is_not() -> None:
    assert decode_metadata(encode_metadata(nested(8))) == nested(8)
    assert violations_of(nested(9)) == [violation("/a/a/a/a/a/a/a/a", MetadataRule.TOO_DEEP, 8)]


def test_arrays_are_levels_too() -> None:
    assert encode_metadata({"a": [[[[[[[1]]]]]]]}) == '{"a":[[[[[[[1]]]]]]]}'
    assert violations_of({"a": [[[[[[[[]]]]]]]]}) == [violation("/a/0/0/0/0/0/0/0", MetadataRule.TOO_DEEP, 8)]


def test_depth_beyond_the_stack_is_an_ordinary_violation() -> None:
    assert violations_of(nested(sys.getrecursionlimit() * 10)) == [
        violation("/a/a/a/a/a/a/a/a", MetadataRule.TOO_DEEP, 8)
    ]


def test_nul_and_lone_surrogates_are_found_in_strings_and_keys() -> None:
    assert violations_of({"a": "x\0", "b\0": 1, "c": ["\ud83c"], "\udf89": "\udf89"}) == [
        violation("/a", MetadataRule.NUL_CHARACTER),
        violation("/b\\u0000", MetadataRule.NUL_CHARACTER),
        violation("/c/0", MetadataRule.LONE_SURROGATE),
        violation("/\\udf89", MetadataRule.LONE_SURROGATE),
    ]


@pytest.mark.parametrize(
    "number",
    [float("nan"), float("inf"), float("-inf"), Decimal("NaN"), Decimal("sNaN")],
)
def test_nan_and_infinities_are_rejected(number: object) -> None:
    assert violations_of({"a": [number]}) == [violation("/a/0", MetadataRule.NOT_A_NUMBER)]


@pytest.mark.parametrize("text", ["1e131071", "9.9e131071", "-1e131071", "1e-16383", "0e131071", f"0.{'1' * 16000}"])
def test_numbers_within_range_are_accepted(text: str) -> None:
    assert encode_metadata(read_json(f'{{"a":{text}}}')) == f'{{"a":{text}}}'


@pytest.mark.parametrize(
    "text",
    ["1e131072", "-1e999999", "1e-16384", "1.50e-16382", "1e99999999999999999999", "-1e99999999999999999999"],
)
def test_numbers_out_of_range_are_rejected(text: str) -> None:
    assert violations_of(read_json(f'{{"a":{text}}}')) == [violation("/a", MetadataRule.NUMBER_OUT_OF_RANGE)]


def test_int_with_more_digits_than_python_converts_is_encoded() -> None:
    assert encode_metadata({"a": 10**5000, "b": -(10**5000)}) == f'{{"a":1{"0" * 5000},"b":-1{"0" * 5000}}}'


def test_an_int_out_of_range_is_rejected() -> None:
    assert violations_of({"a": 10**131072}) == [violation("/a", MetadataRule.NUMBER_OUT_OF_RANGE)]


def test_all_violations_are_reported_at_once_each_at_its_path() -> None:
    value = {f"key-{number}": number for number in range(50)}
    hostile = value | {"a/b~c": {"": ["\0\ud800"]}, "x" * 41: float("nan"), "big": "b" * 20_000, "deep": nested(8)}
    assert violations_of(hostile) == [
        violation("", MetadataRule.TOO_MANY_KEYS, 50),
        violation("/a~1b~0c//0", MetadataRule.NUL_CHARACTER),
        violation("/a~1b~0c//0", MetadataRule.LONE_SURROGATE),
        violation(f"/{'x' * 40}…", MetadataRule.KEY_TOO_LONG, 40),
        violation(f"/{'x' * 40}…", MetadataRule.NOT_A_NUMBER),
        violation("/deep/a/a/a/a/a/a/a", MetadataRule.TOO_DEEP, 8),
        violation("", MetadataRule.TOO_LARGE, 16384),
    ]


def test_a_key_and_its_value_that_violate_one_rule_are_one_violation() -> None:
    assert violations_of({"\0": "\0"}) == [violation("/\\u0000", MetadataRule.NUL_CHARACTER)]


def test_at_most_a_hundred_violations_are_reported() -> None:
    assert violations_of({"a": ["\0"] * 10_000}) == [
        violation(f"/a/{index}", MetadataRule.NUL_CHARACTER) for index in range(100)
    ]


def test_a_value_that_is_not_json_is_a_type_error() -> None:
    with pytest.raises(TypeError, match=re.escape("tuple is no JSON value")):
        encode_metadata({"a": (1, 2)})


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


@given(value=st.dictionaries(keys, values, max_size=10))
@example(value={"a": Decimal("-0E-16383")})
def test_any_value_within_the_limits_comes_back_equal(value: dict[str, Any]) -> None:
    text, broken = stored_or_refused(value)
    if text is not None:
        assert json.loads(text, parse_float=Decimal) == value
        assert encode_metadata(decode_metadata(text)) == text
        assert changed_keys(value, text) == ()
    assert {found.rule for found in broken} <= {
        MetadataRule.TOO_DEEP,
        MetadataRule.TOO_LARGE,
        MetadataRule.NUMBER_OUT_OF_RANGE,
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
    assert all(found.path.isprintable() and len(found.path) <= 2200 for found in broken)
