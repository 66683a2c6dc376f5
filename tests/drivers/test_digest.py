import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import Credentials
from gateway.drivers.digest import Digest, choose
from gateway.errors import AuthenticationFailed

MUFASA = Credentials("Mufasa", "Circle of Life")
# RFC 7616, 3.9.1
RFC_MD5 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC_SHA256 = RFC_MD5.replace("MD5", "SHA-256")
RFC_CLIENT_NONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("challenge", "response"),
    [(RFC_MD5, "8ca523f5e9506fed4657c9700eebdbec"), (RFC_SHA256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1")],
)
def test_the_examples_of_rfc_7616_come_out(challenge: str, response: str) -> None:
    answer = Digest(choose([challenge]), MUFASA, nonce=lambda: RFC_CLIENT_NONCE).answer("GET", "/dir/index.html")
    assert f'response="{response}"' in answer
    assert "nc=00000001" in answer
    assert "qop=auth," in answer


def test_the_example_of_rfc_2069_without_qop_comes_out() -> None:
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    answer = Digest(choose([challenge]), Credentials("Mufasa", "CircleOfLife")).answer("GET", "/dir/index.html")
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in answer
    assert "qop" not in answer
    assert "algorithm" not in answer


def test_the_strongest_of_several_challenges_is_answered() -> None:
    assert choose(["Basic realm=x", RFC_MD5, RFC_SHA256]).algorithm == "SHA-256"


@pytest.mark.parametrize(
    "offered",
    [[], ['Basic realm="x"'], ['Digest realm="x"'], ['Digest nonce="1", algorithm=MD5-sess'], ['Digest nonce="1", qop="auth-int"']],
)
def test_a_password_never_goes_out_in_clear_or_by_rules_unknown_to_us(offered: list[str]) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        choose(offered)
    assert caught.value.code == "no-digest"


def test_what_a_device_offers_instead_is_said() -> None:
    with pytest.raises(AuthenticationFailed, match=r"no Digest authentication that we answer, but Basic, Digest SHA-512$"):
        choose(['Basic realm="x", Digest realm="x", nonce="1", algorithm=SHA-512'])


def test_each_request_counts_the_nonce_up() -> None:
    digest = Digest(choose([RFC_MD5]), MUFASA)
    assert [f"nc=0000000{number}" in digest.answer("PLAY", "u") for number in (1, 2, 3)] == [True] * 3


def test_quotes_in_what_a_device_names_cannot_leave_their_field() -> None:
    answer = Digest(choose([r'Digest realm="a\"b", nonce="n\\", opaque="o"']), Credentials('u"x', "p")).answer("PLAY", "u")
    assert r'realm="a\"b"' in answer
    assert r'username="u\"x"' in answer


_WORDS = st.text("abcXYZ019-", min_size=1, max_size=8)
_VALUES = st.lists(st.sampled_from([*'ab19 =,"\\/é', "Basic ", ", Digest nonce="]), max_size=12).map("".join)
_OTHERS = st.tuples(st.sampled_from(["Basic", "Bearer", "Negotiate", "X-Own"]), st.dictionaries(_WORDS, _VALUES, min_size=1, max_size=3))


def _field(scheme: str, parameters: dict[str, str], gap: str) -> str:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in parameters.items()}
    return f"{scheme} " + f",{gap}".join(f'{name}="{value}"' for name, value in quoted.items())


@given(st.lists(_OTHERS, max_size=3), st.lists(_OTHERS, max_size=3), _VALUES, _WORDS, st.sampled_from(["", " ", "  "]))
def test_whatever_stands_beside_a_digest_in_its_field_changes_nothing(before: list, after: list, realm: str, nonce: str, gap: str) -> None:
    ours = ("Digest", {"realm": realm, "nonce": nonce, "opaque": "o"})
    whole = f",{gap}".join(_field(*each, gap) for each in (*before, ours, *after))
    found = choose([whole])
    assert (found.realm, found.nonce, found.opaque, found.algorithm) == (realm, nonce, "o", "MD5")


@given(st.text(max_size=200))
def test_any_challenge_is_read_or_refused(text: str) -> None:
    try:
        challenge = choose(["Digest " + text])
    except AuthenticationFailed as refusal:
        assert refusal.code == "no-digest"
    else:
        answer = Digest(challenge, MUFASA).answer("PLAY", "u")
        assert answer.startswith('Digest username="Mufasa", realm="') and MUFASA.password not in answer
