"""What telephones call themselves, and how they are asked."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.devices import Credentials
from gateway.drivers.sip.call import Plan
from gateway.drivers.sip.messages import answer, sequence_of
from gateway.drivers.sip.options import Inquiry, identity_of
from gateway.drivers.textual import Headers, Request, Response

PLAN = Plan("horn", "sip:10.0.0.9", "10.0.0.1:5062", "UDP", b"", Credentials("user", "secret"))


def said(*fields: tuple[str, str]) -> Response:
    return Response(200, "OK", Headers(fields))


@pytest.mark.parametrize(
    ("fields", "who", "hardware"),
    [
        ([("User-Agent", "Fanvil X303 2.12.18.9 0c383e63963b")], ("Fanvil", "X303", "2.12.18.9"), ["0c:38:3e:63:96:3b"]),
        ([("User-Agent", "Fanvil i16SV 2.4.0")], ("Fanvil", "i16SV", "2.4.0"), []),
        ([("User-Agent", "Fanvil X303 2.12.18.9"), ("Mac", "0c:38:3e:63:96:3b")], ("Fanvil", "X303", "2.12.18.9"), ["0c:38:3e:63:96:3b"]),
        ([("Server", "Grandstream HT812 1.0.29.8")], ("Grandstream", "HT812", "1.0.29.8"), []),
        ([("Server", "Akuvox R20A 120.30.1.35 0C-11-05-0A-0B-0C")], ("Akuvox", "R20A", "120.30.1.35"), ["0c:11:05:0a:0b:0c"]),
        ([("Server", "baresip v1.0.0 (x86_64/linux)")], ("baresip", "", "v1.0.0"), []),
        ([("Server", "喇叭")], ("喇叭", "", ""), []),
        ([("Server", "IP Speaker 000000000000")], ("IP", "Speaker", ""), []),
        ([], ("", "", ""), []),
    ],
)
def test_a_device_is_known_by_the_words_with_which_it_names_itself(fields: list, who: tuple, hardware: list) -> None:
    identity, addresses = identity_of(said(*fields))
    assert (identity.manufacturer, identity.model, identity.firmware) == who
    assert (identity.serial, list(addresses)) == ("", hardware)


@given(st.text(max_size=400), st.text(max_size=40))
def test_any_words_will_do(server: str, mac: str) -> None:
    identity, addresses = identity_of(said(("Server", server), ("Mac", mac)))
    assert len(identity.model) <= 200
    assert all(len(address) == 17 for address in addresses)


def inquiry() -> tuple[Inquiry, Request]:
    numbers = itertools.count(1)
    made = Inquiry(PLAN, token=lambda: f"t{next(numbers)}", now=0.0)
    return made, last(made)


def last(made: Inquiry) -> Request:
    request = made.outbox.pop()
    assert isinstance(request, Request)
    return request


@pytest.mark.parametrize("status", [200, 404, 405, 486, 603])
def test_any_answer_is_one(status: int) -> None:
    made, request = inquiry()
    made.take(answer(request, 100, "Trying"), 0.1)
    assert not made.done
    made.take(answer(request, status, "", tag="h"), 0.2)
    assert made.done
    assert made.answer is not None
    assert (made.answer.status, made.refused, made.due) == (status, None, None)


def test_a_question_is_repeated_and_given_up() -> None:
    made, _ = inquiry()
    times = []
    while (due := made.due) is not None:
        made.tick(due)
        times += [due] if made.outbox else []
        made.outbox.clear()
    assert times[:5] == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert (made.timed_out, made.answer) == (True, None)


def test_a_challenge_is_answered_once() -> None:
    made, request = inquiry()
    for number in range(3):
        fields = [("WWW-Authenticate", f'Digest realm="r", nonce="n{number}"')]
        made.take(answer(request, 401, "Unauthorized", tag="h", fields=fields), 0.1)
        if made.done:
            break
        request = last(made)
        assert 'username="user"' in request.headers.get("Authorization")
        assert sequence_of(request.headers) == (number + 2, "OPTIONS")
    assert number == 1
    assert made.refused is not None


def test_answers_to_others_are_passed_over() -> None:
    made, request = inquiry()
    fields = [(name, "SIP/2.0/UDP x;branch=z9hG4bKother" if name == "Via" else value) for name, value in request.headers]
    made.take(answer(Request("OPTIONS", request.uri, Headers(fields)), 200, "OK"), 0.1)
    assert not made.done
