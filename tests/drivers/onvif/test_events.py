"""A subscription to a device's events stays alive, is ended properly, and survives what a device sends."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.clock import SimulatedClock
from gateway.domain.city import City
from gateway.domain.devices import Credentials, Device, DeviceId, DeviceKind, Ports
from gateway.drivers.base import Change
from gateway.drivers.onvif import subscribing
from gateway.drivers.onvif.notifications import read_notifications
from gateway.drivers.onvif.soap import EVENTS, NOTIFICATION
from gateway.drivers.profiles.library import Profiles
from gateway.drivers.registry import Drivers
from gateway.errors import NotFound, ProtocolError
from simulators.faults import Answer, Fault
from tests.drivers.onvif.listening import listening
from tests.simulators import oracle
from tests.simulators.street import Street, standing
from tests.waiting import until

NOW = datetime(2026, 9, 21, tzinfo=UTC)


@pytest.fixture
async def street():
    async with standing() as street:
        yield street


async def test_what_happens_before_a_camera_is_heard_with_its_source_and_both_times(street: Street) -> None:
    async with listening(street) as listener:
        await listener.passes(2)
        street.state.happen(street.camera, "motion")
        await listener.passes(1)
        street.state.happen(street.camera, "line-crossed")
        street.state.happen(street.camera, "motion", on=False)
        await listener.passes(1)

        began, ended = listener.of("MotionAlarm")[1:]
        assert (began.source, began.change, began.on, began.begins) == ({"Source": "VideoSource_1"}, Change.CHANGED, True, True)
        assert (ended.on, ended.begins) == (False, False)
        assert began.received == listener.clock.now() - timedelta(seconds=1)
        assert began.device_time == datetime.fromtimestamp(street.state.device_time(street.camera) - 2, UTC)
        assert listener.begun == ["VideoSource/MotionAlarm", "RuleEngine/LineDetector/Crossed"]


async def test_a_lease_that_pulls_extend_is_never_renewed(street: Street) -> None:
    async with listening(street) as listener:
        await listener.passes(250)
        assert (listener.asked("CreatePullPointSubscription"), listener.asked("Renew")) == (1, 0)


async def test_a_subscription_that_is_no_longer_wanted_is_ended(street: Street) -> None:
    async with listening(street) as listener:
        await listener.passes(1)
    assert listener.asked("Unsubscribe") == 1


async def test_a_device_that_is_away_is_asked_ever_more_rarely_and_heard_again_when_it_is_back(street: Street) -> None:
    async with listening(street) as listener:
        await listener.passes(1)
        street.state.faults[street.camera.id] = Fault(answer=Answer.RESET)
        before = street.state.counters["http.requests.camera"]
        await listener.passes(300)
        assert street.state.counters["http.requests.camera"] - before < 25

        street.state.faults.clear()
        street.state.happen(street.camera, "tamper")
        await listener.passes(330)
        assert listener.of("Tamper")[-1].on


async def test_a_waiting_pull_takes_no_place_from_the_health_check(street: Street) -> None:
    async with listening(street, pull_s=30.0) as listener:
        await listener.clock.advance(1)
        await until(lambda: listener.asked("PullMessages") >= 2, meanwhile=lambda: listener.device.check(timeout_s=5))
        for _ in range(3):
            assert (await listener.device.check(timeout_s=5))[1].serial == street.camera.serial
        assert not listener.clock.waiting
        street.state.happen(street.camera, "motion")
        await listener.clock.waited_for()
        assert listener.begun == ["VideoSource/MotionAlarm"]


@pytest.mark.parametrize("answer", [Answer.GARBAGE, Answer.NOT_XML, Answer.WRONG_OPERATION, Answer.ENDLESS, Answer.GZIP_BOMB, Answer.DTD])
async def test_nothing_that_a_device_answers_ends_it(street: Street, answer: Answer) -> None:
    async with listening(street) as listener:
        await listener.passes(1)
        street.state.faults[street.camera.id] = Fault(answer=answer)
        await listener.passes(20)
        street.state.faults.clear()
        street.state.happen(street.camera, "motion")
        await listener.passes(60)
        assert listener.of("MotionAlarm")[-1].on


# -- requests and answers ----------------------------------------------------------------------------------------------

REQUESTS = [
    ("tev", "CreatePullPointSubscription", subscribing.create("PT120S"), {"InitialTerminationTime": "PT120S"}),
    ("tev", "PullMessages", subscribing.pull(20.7), {"Timeout": timedelta(seconds=20), "MessageLimit": 50}),
    ("tev", "SetSynchronizationPoint", subscribing.synchronise(), {}),
    ("wsnt", "Renew", subscribing.renew("2026-09-21T14:00:00.000Z"), {"TerminationTime": "2026-09-21T14:00:00.000Z"}),
    ("wsnt", "Unsubscribe", subscribing.unsubscribe(), {}),
]


@pytest.mark.parametrize(("prefix", "name", "operation", "arguments"), REQUESTS)
def test_requests_are_those_that_zeep_would_write_and_valid(prefix: str, name: str, operation, arguments, tmp_path_factory) -> None:
    home = oracle.official_copy(tmp_path_factory.getbasetemp() / "official")
    namespace = EVENTS if prefix == "tev" else NOTIFICATION
    element = oracle.oracle("tev").client.get_element(f"{{{namespace}}}{name}")
    parent = etree.Element("parent")
    element.render(parent, element(**arguments))

    assert etree.tostring(parent[0], method="c14n", exclusive=True) == etree.tostring(
        etree.fromstring(operation.body), method="c14n", exclusive=True
    )
    assert oracle.official_schema("tev", home).validate(etree.ElementTree(etree.fromstring(operation.body)))


def test_reference_parameters_go_back_marked_and_bounded() -> None:
    def grant(inner: str) -> subscribing.Grant:
        return subscribing.read_grant(
            etree.fromstring(
                f'<r xmlns:a="{subscribing.ADDRESSING}"><SubscriptionReference><a:Address>http://10.0.0.9/s?Idx=3</a:Address>'
                f"<a:ReferenceParameters>{inner}</a:ReferenceParameters></SubscriptionReference></r>"
            )
        )

    found = grant('<x:Id xmlns:x="urn:x">7</x:Id>').reference
    assert found.path == "/s?Idx=3"
    assert b'IsReferenceParameter="true"' in found.parameters
    assert grant(f'<x:Id xmlns:x="urn:x">{"7" * 3000}</x:Id>').reference.parameters == b""
    with pytest.raises(ProtocolError):
        subscribing.read_grant(etree.fromstring("<r/>"))


TREES = st.recursive(
    st.text(alphabet="abc :/", max_size=8),
    lambda inner: st.lists(
        st.tuples(st.sampled_from(["Message", "Topic", "Source", "Data", "SimpleItem", "NotificationMessage"]), inner), max_size=4
    ),
)


@given(
    TREES, st.dictionaries(st.sampled_from(["Name", "Value", "UtcTime", "PropertyOperation"]), st.text(alphabet="az019-:TZ", max_size=30))
)
def test_reading_notifications_never_fails(tree, attributes) -> None:
    def grown(parent: etree._Element, node) -> etree._Element:
        if isinstance(node, str):
            parent.text = node
        else:
            for name, below in node:
                grown(etree.SubElement(parent, name, attributes), below)
        return parent

    for event in read_notifications(grown(etree.Element("PullMessagesResponse"), tree), received=NOW):
        assert event.topic
        assert event.received == NOW


async def test_the_drivers_keep_one_subscriber_a_device_with_what_it_has_learnt(street: Street) -> None:
    clock = SimulatedClock(datetime.fromtimestamp(street.clock.now, UTC))
    told, city = street.camera, City()
    device = Device(DeviceId(told.id), DeviceKind.CAMERA, told.name, told.address, ports=Ports(onvif=street.city.http_port))
    city.replace(devices=[device], groups=[], zones=[])
    async with Drivers(city, clock, Profiles([]), walk_every_s=60) as drivers:
        drivers.renew({device.id: Credentials(told.username, told.password)})
        subscriber, heard = drivers.events_of(device.id), asyncio.Event()
        listening = asyncio.create_task(subscriber.run(lambda _event: heard.set()))
        async with asyncio.timeout(60):
            await heard.wait()
        listening.cancel()
        await asyncio.wait([listening])

        assert drivers.events_of(device.id) is subscriber
        assert drivers.model_of(device.id).learned["subscriptions"] == "taken"
        with pytest.raises(NotFound):
            drivers.events_of(DeviceId("nobody"))
