import copy
import sys
from typing import Any

import pytest

from gateway.domain.json_text import read_json
from gateway.domain.metadata import merge_metadata

APPENDIX_A_OF_RFC_7396 = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

SECTION_3_OF_RFC_7396 = (
    '{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"T"}',
    '{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}',
    '{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"T","phoneNumber":"+01-123-456-7890"}',
)


@pytest.mark.parametrize(("target", "patch", "result"), [*APPENDIX_A_OF_RFC_7396, SECTION_3_OF_RFC_7396])
def test_merge_is_that_of_the_rfc_and_changes_neither_argument(target: str, patch: str, result: str) -> None:
    original, change = read_json(target), read_json(patch)
    assert merge_metadata(original, change) == read_json(result)
    assert (original, change) == (read_json(target), read_json(patch))


def test_nulls_inside_arrays_stay() -> None:
    assert merge_metadata({}, {"a": [None, {"b": None}]}) == {"a": [None, {"b": None}]}


def test_replaced_keys_keep_their_place_and_new_ones_come_last() -> None:
    assert list(merge_metadata({"a": 1, "b": 2}, {"c": 3, "a": {"x": 1}})) == ["a", "b", "c"]


def test_patch_nested_beyond_the_stack_is_merged() -> None:
    levels = sys.getrecursionlimit() * 3
    patch: dict[str, Any] = {}
    for _ in range(levels):
        patch = {"a": patch, "gone": None}
    merged = merge_metadata({}, patch)
    depth = 0
    while merged:
        assert list(merged) == ["a"]
        merged = merged["a"]
        depth += 1
    assert depth == levels


def test_a_deep_merge_does_not_change_the_target() -> None:
    target = {"a": {"b": {"c": 1, "d": [1]}}}
    before = copy.deepcopy(target)
    assert merge_metadata(target, {"a": {"b": {"c": 2, "e": {"f": None}}}}) == {"a": {"b": {"c": 2, "d": [1], "e": {}}}}
    assert target == before
