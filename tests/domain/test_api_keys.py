from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from gateway.domain.api_keys import ApiKey, new_secret, prefix_of
from gateway.domain.principals import Principal, PrincipalKind
from gateway.domain.text import sha256_of
from tests.domain.examples import ACCOUNT_ID, APPLICATION_ID, BEFORE, INSTALLATION_ID, NOW

SECRET = f"igw_abcdefghijkl_{'s' * 43}"
KEY = ApiKey(
    id=INSTALLATION_ID,
    prefix="abcdefghijkl",
    digest=sha256_of(SECRET),
    kind=PrincipalKind.APPLICATION,
    application_id=APPLICATION_ID,
    account_id=ACCOUNT_ID,
    label="nightly",
    created_at=BEFORE,
    expires_at=None,
    revoked_at=None,
    last_used_at=None,
)


def test_a_key_has_the_principal_of_its_kind_and_bounds() -> None:
    assert replace(KEY, expires_at=NOW).principal == Principal(
        kind=PrincipalKind.APPLICATION,
        application_id=APPLICATION_ID,
        account_id=ACCOUNT_ID,
        id=str(INSTALLATION_ID),
        label="nightly",
        api_key_id=INSTALLATION_ID,
        expires_at=NOW,
    )


def test_new_secrets_are_unique_and_have_a_prefix() -> None:
    made = [new_secret() for _ in range(500)]
    prefixes = [prefix_of(secret) for secret in made]
    assert all(prefix is not None and prefix.isalnum() for prefix in prefixes)
    assert len(set(made)) == len(set(prefixes)) == 500


@pytest.mark.parametrize(
    "text",
    [
        "",
        "igw",
        "igw_abcdefghijkl",
        f"key_abcdefghijkl_{'s' * 43}",
        f"igw_abcdefghijk_{'s' * 43}",
        f"igw_abcdefghijkl_{'s' * 42}",
        f"igw_abcdefghijkl_{'s' * 44}",
        f"igw_abcdefghijkl_{'s' * 42}ü",
        f"igw_abcdefghijkl_{'s' * 42}\ud800",
    ],
)
def test_text_that_does_not_have_a_keys_form_has_no_prefix(text: str) -> None:
    assert prefix_of(text) is None


def test_the_secret_part_may_contain_the_separator() -> None:
    assert prefix_of(f"igw_abcdefghijkl_{'_' * 43}") == "abcdefghijkl"


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "opens"),
    [
        (None, None, True),
        (NOW + timedelta(microseconds=1), None, True),
        (NOW, None, False),
        (None, BEFORE, False),
        (None, NOW + timedelta(days=1), False),
    ],
)
def test_a_key_is_valid_until_it_expires_or_is_revoked(
    expires_at: datetime | None, revoked_at: datetime | None, *, opens: bool
) -> None:
    key = replace(KEY, expires_at=expires_at, revoked_at=revoked_at)
    assert key.is_valid(SECRET, now=NOW) is opens


def test_another_secret_of_the_same_prefix_is_not_valid() -> None:
    assert not KEY.is_valid(SECRET[:-1] + "t", now=NOW)
