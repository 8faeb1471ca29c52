"""The cache that its users share fairly."""

from gateway.execution.documents import Documents, FairCache
from gateway.schema.schema import build_schema


def test_owner_that_fills_the_cache_loses_its_own_values() -> None:
    cache = FairCache[str, int](100)
    cache.put("victim", 1, size=20, owner="victim")
    for number in range(50):
        cache.put(f"attack {number}", number, size=10, owner="attacker")
    assert cache.get("victim") == 1
    assert cache.get("attack 49") == 49
    assert cache.get("attack 0") is None
    assert (cache.size, len(cache)) == (100, 9)


def test_value_that_is_used_stays_longer() -> None:
    cache = FairCache[str, int](30)
    for key in "abc":
        cache.put(key, 1, size=10, owner=None)
    assert cache.get("a") == 1
    cache.put("d", 1, size=10, owner=None)
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


def test_value_larger_than_the_cache_is_not_kept() -> None:
    cache = FairCache[str, int](30)
    cache.put("a", 1, size=10, owner=None)
    cache.put("b", 1, size=31, owner=None)
    assert [key for key in "ab" if cache.get(key)] == ["a"]


def test_value_is_replaced() -> None:
    cache = FairCache[str, int](30)
    cache.put("a", 1, size=10, owner="x")
    cache.put("a", 2, size=20, owner="y")
    assert (cache.get("a"), cache.size) == (2, 20)


def test_large_documents_push_out_no_one_elses() -> None:
    documents = Documents(build_schema())
    usual = "{ viewer { kind } }"
    kept = documents.prepare(usual, owner="victim")
    for number in range(4):
        documents.prepare(f"# {number} {'x' * 195_000}\n{{ viewer {{ kind }} }}", owner="attacker")
    assert documents.kept.get((usual, None)) is kept
