"""Pull points of simulated cameras: what they tell, to whom, how long, and whether the schemas agree."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from tests.simulators import oracle
from tests.simulators.street import Answer, Street, envelope

WSNT = "http://docs.oasis-open.org/wsn/b-2"
TOPICS = "http://www.onvif.org/ver10/topics"
CONCRETE_SET = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
NOW = "<tev:PullMessages><tev:Timeout>PT0S</tev:Timeout><tev:MessageLimit>20</tev:MessageLimit></tev:PullMessages>"


@dataclass
class Subscription:
    street: Street
    path: str

    async def ask(self, content: str, header: str = "") -> Answer:
        camera = self.street.camera
        return await self.street.post(camera, envelope(content, self.street.login(camera) + header), self.path)

    async def pull(self, timeout: str = "PT0S", limit: int = 20) -> Answer:
        return await self.ask(
            f"<tev:PullMessages><tev:Timeout>{timeout}</tev:Timeout><tev:MessageLimit>{limit}</tev:MessageLimit></tev:PullMessages>"
        )

    async def renew(self, until: str) -> Answer:
        return await self.ask(f'<n:Renew xmlns:n="{WSNT}"><n:TerminationTime>{until}</n:TerminationTime></n:Renew>')


async def create(street: Street, inner: str = "<tev:InitialTerminationTime>PT60S</tev:InitialTerminationTime>") -> Answer:
    return await street.call(street.camera, "tev", "CreatePullPointSubscription", inner)


async def subscribe(street: Street, inner: str = "<tev:InitialTerminationTime>PT60S</tev:InitialTerminationTime>") -> Subscription:
    address = (await create(street, inner)).texts("Address")[0]
    return Subscription(street, "/" + address.split("/", 3)[3])


def filtered(expression: str, dialect: str = CONCRETE_SET) -> str:
    topic = f'<n:TopicExpression xmlns:n="{WSNT}" xmlns:tns1="{TOPICS}" Dialect="{dialect}">{expression}</n:TopicExpression>'
    return f"<tev:Filter>{topic}</tev:Filter>"


def told(answer: Answer) -> list[tuple[str, str, str]]:
    """Topic, how it changed, and the value, of each message."""
    return [
        (topic.text or "", message.get("PropertyOperation", ""), message.find("{*}Data")[0].get("Value", ""))
        for topic, message in zip(answer.xml.iter("{*}Topic"), answer.xml.iter("{http://www.onvif.org/ver10/schema}Message"), strict=True)
    ]


async def test_a_new_pull_point_tells_the_states_and_then_what_changes(street: Street) -> None:
    street.state.happen(street.camera, "motion")
    events = await subscribe(street)
    states = told(await events.pull())

    assert ("tns1:VideoSource/MotionAlarm", "Initialized", "true") in states
    assert ("tns1:Device/Trigger/DigitalInput", "Initialized", "false") in states
    street.state.happen(street.camera, "motion", on=False)
    street.state.happen(street.camera, "line-crossed")
    changes = told(await events.pull())
    assert changes[0] == ("tns1:VideoSource/MotionAlarm", "Changed", "false")
    assert changes[1][:2] == ("tns1:RuleEngine/LineDetector/Crossed", "")
    assert told(await events.pull()) == []


async def test_a_pull_waits_for_what_happens_and_nobody_waits_for_it(street: Street) -> None:
    events = await subscribe(street)
    await events.pull()
    waiting = asyncio.create_task(events.pull("PT30S"))

    assert (await street.call(street.camera, "tds", "GetDeviceInformation")).status == 200
    assert not waiting.done()
    street.state.happen(street.camera, "tamper")
    assert told(await waiting) == [("tns1:RuleEngine/TamperDetector/Tamper", "Changed", "true")]


async def test_a_lease_ends_unless_it_is_renewed_or_pulled(street: Street) -> None:
    events = await subscribe(street)
    street.clock.now += 50
    assert (await events.renew("PT100S")).status == 200
    street.clock.now += 90
    assert (await events.pull()).status == 200
    street.clock.now += 101

    assert (await events.pull()).subcodes[-1] == "ter:NoEntity"


async def test_a_lease_may_be_asked_for_by_a_moment(street: Street) -> None:
    answer = await create(street, "<tev:InitialTerminationTime>2026-09-21T14:24:20Z</tev:InitialTerminationTime>")

    assert answer.texts("TerminationTime")[0].startswith("2026-09-21T14:24:20")
    assert (await create(street, "<tev:InitialTerminationTime>2020-01-01T00:00:00Z</tev:InitialTerminationTime>")).status == 400


async def test_a_filter_lets_through_what_it_names(street: Street) -> None:
    events = await subscribe(street, filtered("tns1:VideoSource//.|tns1:Device/Trigger/DigitalInput"))

    topics = {topic for topic, _, _ in told(await events.pull())}
    assert topics == {
        "tns1:VideoSource/MotionAlarm",
        "tns1:VideoSource/GlobalSceneChange/ImagingService",
        "tns1:Device/Trigger/DigitalInput",
    }


@pytest.mark.parametrize(
    ("inner", "subcode"),
    [
        (filtered("tns1:Nothing"), "wsnt:InvalidTopicExpressionFault"),
        (filtered("tns1:VideoSource", "urn:x"), "wsnt:TopicExpressionDialectUnknownFault"),
        (f'<tev:Filter><n:MessageContent xmlns:n="{WSNT}" Dialect="urn:x">a</n:MessageContent></tev:Filter>', "wsnt:InvalidFilterFault"),
        ("<tev:InitialTerminationTime>PT</tev:InitialTerminationTime>", "wsnt:UnacceptableInitialTerminationTimeFault"),
    ],
)
async def test_what_cannot_be_kept_is_refused(street: Street, inner: str, subcode: str) -> None:
    assert subcode in (await create(street, inner)).subcodes


async def test_unsubscribing_ends_it_at_once_and_so_does_a_reboot(street: Street) -> None:
    first, second = await subscribe(street), await subscribe(street)
    assert (await first.ask(f'<n:Unsubscribe xmlns:n="{WSNT}"/>')).status == 200

    assert (await first.pull()).status == 400
    assert (await second.pull()).status == 200
    street.state.rebooted(street.camera)
    assert (await second.pull()).status == 400


async def test_a_synchronization_point_tells_the_states_anew(street: Street) -> None:
    events = await subscribe(street, filtered("tns1:VideoSource/MotionAlarm"))
    await events.pull()
    await events.ask("<tev:SetSynchronizationPoint/>")

    assert told(await events.pull()) == [("tns1:VideoSource/MotionAlarm", "Initialized", "false")]


async def test_places_and_messages_are_bounded(street: Street) -> None:
    events = await subscribe(street)
    for _ in range(9):
        await subscribe(street)
    assert "wsnt:SubscribeCreationFailedFault" in (await create(street)).subcodes

    for _ in range(150):
        street.state.happen(street.camera, "motion")
    assert [len(told(await events.pull(limit=80))) for _ in range(3)] == [50, 50, 0]


async def test_a_call_with_addressing_is_answered_with_it(street: Street) -> None:
    events = await subscribe(street)
    wsa = 'xmlns:a="http://www.w3.org/2005/08/addressing"'
    answer = await events.ask(NOW, f"<a:Action {wsa}>x</a:Action><a:MessageID {wsa}>urn:uuid:7</a:MessageID><a:To {wsa}>y</a:To>")

    assert answer.texts("RelatesTo") == ["urn:uuid:7"]
    assert answer.texts("Action") == ["http://www.onvif.org/ver10/events/wsdl/PullPointSubscription/PullMessagesResponse"]


async def test_answers_of_a_pull_point_are_valid(street: Street, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = oracle.official_copy(tmp_path_factory.getbasetemp() / "official")
    events = await subscribe(street)
    pulled = await events.pull()
    for answer in (
        pulled,
        await events.renew("PT60S"),
        await events.ask("<tev:SetSynchronizationPoint/>"),
        await events.ask(f'<n:Unsubscribe xmlns:n="{WSNT}"/>'),
    ):
        assert answer.status == 200
        oracle.check(oracle.official_schema("tev", home), answer.body)
    for message in pulled.xml.iter("{http://www.onvif.org/ver10/schema}Message"):
        oracle.check(oracle.official_schema("trt", home), envelope(etree.tostring(message).decode()))


async def test_descriptions_of_topics_are_valid(street: Street, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = oracle.official_copy(tmp_path_factory.getbasetemp() / "official")
    answer = await street.call(street.camera, "tev", "GetEventProperties")

    schema = _schema_of_descriptions(home / "ver10/schema/onvif.xsd")
    described = list(answer.xml.iter("{*}MessageDescription"))
    assert len(described) == 6
    for one in described:
        assert schema.validate(etree.ElementTree(etree.fromstring(etree.tostring(one)))), schema.error_log


def _schema_of_descriptions(onvif: Path) -> etree.XMLSchema:
    """What stands below a topic of the topic set is a tt:MessageDescription, for which ONVIF declares a type and no element."""
    tt, xs = "http://www.onvif.org/ver10/schema", "http://www.w3.org/2001/XMLSchema"
    own = (
        f'<xs:schema xmlns:xs="{xs}" xmlns:tt="{tt}" targetNamespace="{tt}"><xs:include schemaLocation="{onvif}"/>'
        '<xs:element name="MessageDescription" type="tt:MessageDescription"/></xs:schema>'
    )
    return etree.XMLSchema(etree.fromstring(own))
