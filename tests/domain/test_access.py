from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.access import GRANTS, ApiKey, KeyId, Permission, Role, parse_key, permissions, secret_hash

AT = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "s" * 43
KEY = ApiKey(KeyId("abcd1234"), "monitor", frozenset({Role.OPERATOR}), secret_hash(SECRET), AT)


def test_every_role_has_its_grants_and_every_permission_somebody() -> None:
    assert set(GRANTS) == set(Role)
    assert permissions(Role) == set(Permission)


def test_no_role_may_both_ask_for_footage_and_approve_it() -> None:
    both = {Permission.FOOTAGE_REQUEST, Permission.FOOTAGE_APPROVE}
    assert [role for role in Role if both <= GRANTS[role]] == []


def test_nobody_but_the_liaison_takes_footage_away() -> None:
    assert [role for role in Role if Permission.FOOTAGE_DOWNLOAD in GRANTS[role]] == [Role.LIAISON]


def test_a_viewer_changes_nothing() -> None:
    assert {permission.partition(":")[2] for permission in GRANTS[Role.VIEWER]} == {"read"}


def test_whoever_may_speak_may_also_stop() -> None:
    assert all(Permission.BROADCAST_STOP in granted for granted in GRANTS.values() if Permission.BROADCAST_SEND in granted)


@given(st.sets(st.sampled_from(Role)))
def test_a_key_may_what_one_of_its_roles_may(roles: set[Role]) -> None:
    key = replace(KEY, roles=frozenset(roles))
    assert {permission for permission in Permission if key.may(permission)} == permissions(roles)


def test_a_key_opens_with_its_own_secret_until_it_expires() -> None:
    key = replace(KEY, expires_at=AT + timedelta(hours=1))
    assert key.opens_with(SECRET, now=AT)
    assert not key.opens_with("x" * 43, now=AT)
    assert not key.opens_with(SECRET, now=AT + timedelta(hours=1))
    assert not replace(key, revoked_at=AT).opens_with(SECRET, now=AT)


def test_a_key_does_not_show_what_it_holds() -> None:
    assert repr(KEY.secret_hash) not in repr(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gwk_",
        f"gwk_abcd_{'s' * 42}",
        f"gwk_abcd_{'s' * 44}",
        f"gwk_ABCD_{SECRET}",
        f"gwk_abcd_{SECRET}\n",
        f" gwk_abcd_{SECRET}",
        f"gwk_äbcd_{SECRET}",
    ],
)
def test_what_is_no_key_is_not_parsed(text: str) -> None:
    assert parse_key(text) is None


def test_a_key_may_have_underscores_in_its_secret() -> None:
    assert parse_key(f"gwk_abcd1234_{'_' * 43}") == ("abcd1234", "_" * 43)


@given(st.text())
def test_parsing_never_fails(text: str) -> None:
    parse_key(text)
