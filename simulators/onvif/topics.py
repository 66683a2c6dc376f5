"""The topics that a simulated camera tells of (ONVIF Core §9, Imaging, Analytics, Device IO): their descriptions, messages and filters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from simulators.happenings import LASTING, Happening
from simulators.onvif.soap import PREFIXES, SoapFault, xml_time
from simulators.onvif.tokens import VIDEO_SOURCE

CONCRETE: Final = "http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"
CONCRETE_SET: Final = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
FILTERS: Final = 8
"""Topic expressions in one filter."""
_RULE_SOURCE: Final = (
    ("VideoSourceConfigurationToken", "tt:ReferenceToken", "VideoSourceConfig_1"),
    ("VideoAnalyticsConfigurationToken", "tt:ReferenceToken", "VideoAnalyticsConfig_1"),
)


@dataclass(frozen=True, slots=True)
class Topic:
    """`path` below tns1; `source`: name, type and value of its items; `data`: name and type of the one item that tells."""

    path: str
    source: tuple[tuple[str, str, str], ...]
    data: tuple[str, str]


TOPICS: Final[Mapping[str, Topic]] = {
    "motion": Topic("VideoSource/MotionAlarm", (("Source", "tt:ReferenceToken", VIDEO_SOURCE),), ("State", "xs:boolean")),
    "scene-change": Topic(
        "VideoSource/GlobalSceneChange/ImagingService", (("Source", "tt:ReferenceToken", VIDEO_SOURCE),), ("State", "xs:boolean")
    ),
    "cell-motion": Topic(
        "RuleEngine/CellMotionDetector/Motion", (*_RULE_SOURCE, ("Rule", "xs:string", "MotionRule")), ("IsMotion", "xs:boolean")
    ),
    "tamper": Topic("RuleEngine/TamperDetector/Tamper", (*_RULE_SOURCE, ("Rule", "xs:string", "TamperRule")), ("IsTamper", "xs:boolean")),
    "line-crossed": Topic(
        "RuleEngine/LineDetector/Crossed", (*_RULE_SOURCE, ("Rule", "xs:string", "LineRule")), ("ObjectId", "xs:integer")
    ),
    "digital-input": Topic(
        "Device/Trigger/DigitalInput", (("InputToken", "tt:ReferenceToken", "Input_1"),), ("LogicalState", "xs:boolean")
    ),
}


def topic_set() -> str:
    """What stands in wstop:TopicSet: a tree whose leaves describe their messages."""
    tree: dict[str, Any] = {}
    for kind, topic in TOPICS.items():
        *path, leaf = topic.path.split("/")
        place = tree
        for name in path:
            place = place.setdefault(name, {})
        place[leaf] = _description(kind)
    return "".join(_branch(f"tns1:{name}", inner) for name, inner in tree.items())


def message(happening: Happening, *, operation: str = "") -> str:
    """One wsnt:NotificationMessage. `operation`: how a property changed, "" for what is none."""
    topic = TOPICS[happening.kind]
    name, kind = topic.data
    value = str(happening.on).lower() if kind == "xs:boolean" else str(int(happening.at))
    source = "".join(_item(item, said) for item, _, said in topic.source)
    change = f' PropertyOperation="{operation}"' if operation else ""
    return (
        f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{CONCRETE_SET}">tns1:{topic.path}</wsnt:Topic><wsnt:Message>'
        f'<tt:Message UtcTime="{xml_time(happening.at)}"{change}><tt:Source>{source}</tt:Source>'
        f"<tt:Data>{_item(name, value)}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


def wanted(call: etree._Element) -> Callable[[str], bool]:
    """Which paths the Filter of a request lets through. Raises SoapFault for one that cannot be kept."""
    expressions = [part for one in call.iter("{*}Filter") for part in one]
    if not expressions:
        return lambda _path: True
    tests = [_test(one) for one in expressions[:FILTERS]]
    return lambda path: all(test(path) for test in tests)


def _branch(name: str, inner: dict[str, Any] | str) -> str:
    if isinstance(inner, str):
        return f'<{name} wstop:topic="true">{inner}</{name}>'
    return f"<{name}>{''.join(_branch(child, below) for child, below in inner.items())}</{name}>"


def _description(kind: str) -> str:
    topic = TOPICS[kind]
    source = "".join(f'<tt:SimpleItemDescription Name="{name}" Type="{type_}"/>' for name, type_, _ in topic.source)
    name, type_ = topic.data
    return (
        f'<tt:MessageDescription IsProperty="{str(kind in LASTING).lower()}"><tt:Source>{source}</tt:Source>'
        f'<tt:Data><tt:SimpleItemDescription Name="{name}" Type="{type_}"/></tt:Data></tt:MessageDescription>'
    )


def _item(name: str, value: str) -> str:
    return f'<tt:SimpleItem Name="{name}" Value="{value}"/>'


def _test(expression: etree._Element) -> Callable[[str], bool]:
    """One TopicExpression in the dialects that ONVIF wants (Core §9.5): a concrete path, or several, each perhaps with all below it."""
    if expression.tag != f"{{{PREFIXES['wsnt']}}}TopicExpression":
        raise SoapFault("this kind of filter is not supported", "wsnt:InvalidFilterFault")
    if expression.get("Dialect") not in (CONCRETE, CONCRETE_SET):
        raise SoapFault("unknown dialect", "wsnt:TopicExpressionDialectUnknownFault")
    paths = [_path(one, expression) for one in (expression.text or "").strip().split("|")]
    return lambda path: any(path == one or (below and path.startswith(f"{one}/")) for one, below in paths)


def _path(said: str, element: etree._Element) -> tuple[str, bool]:
    below = said.endswith("//.")
    prefix, _, path = said.removesuffix("//.").partition(":")
    known = any(topic.path == path or (below and topic.path.startswith(f"{path}/")) for topic in TOPICS.values())
    if element.nsmap.get(prefix) != PREFIXES["tns1"] or not known:
        raise SoapFault(f"no such topic: {said[:80]}", "wsnt:InvalidTopicExpressionFault")
    return path, below
