"""The Analytics service: the modules and rules behind the events that a camera tells of; they are built in and stay as they are."""

from typing import Final

from simulators.onvif import fragments
from simulators.onvif.fragments import ANALYTICS, MODULES, RULES, BuiltIn
from simulators.onvif.soap import Call, invalid, xml_time
from simulators.onvif.unit import Service, Unit

_SOURCE: Final = (
    '<tt:Source><tt:SimpleItemDescription Name="VideoSourceConfigurationToken" Type="tt:ReferenceToken"/>'
    '<tt:SimpleItemDescription Name="VideoAnalyticsConfigurationToken" Type="tt:ReferenceToken"/>'
    '<tt:SimpleItemDescription Name="Rule" Type="xs:string"/></tt:Source>'
)


def _capabilities(_unit: Unit) -> str:
    return (
        '<tan:Capabilities RuleSupport="true" AnalyticsModuleSupport="true" CellBasedSceneDescriptionSupported="false" '
        'RuleOptionsSupported="true" AnalyticsModuleOptionsSupported="true" SupportedMetadata="true"/>'
    )


def _modules(_unit: Unit, call: Call) -> str:
    _the_configuration(call)
    return "".join(fragments.built_in("tan:AnalyticsModule", module) for module in MODULES)


def _rules(_unit: Unit, call: Call) -> str:
    _the_configuration(call)
    return "".join(fragments.built_in("tan:Rule", rule) for rule in RULES)


def _supported_modules(_unit: Unit, call: Call) -> str:
    _the_configuration(call)
    listed = "".join(_description("tt:AnalyticsModuleDescription", module) for module in MODULES)
    return f'<tan:SupportedAnalyticsModules Limit="{len(MODULES)}">{listed}</tan:SupportedAnalyticsModules>'


def _supported_rules(_unit: Unit, call: Call) -> str:
    _the_configuration(call)
    listed = "".join(_description("tt:RuleDescription", rule) for rule in RULES)
    return f'<tan:SupportedRules Limit="{len(RULES)}">{listed}</tan:SupportedRules>'


def _description(tag: str, one: BuiltIn) -> str:
    parameters = f'<tt:SimpleItemDescription Name="{one.parameter}" Type="xs:integer"/>'
    data = f'<tt:Data><tt:SimpleItemDescription Name="{one.tells[0]}" Type="{one.tells[1]}"/></tt:Data>' if one.topic else ""
    is_property = str(bool(one.topic) and one.tells[1] == "xs:boolean").lower()
    messages = (
        f'<tt:Messages IsProperty="{is_property}">{_SOURCE}{data}<tt:ParentTopic>tns1:{one.topic}</tt:ParentTopic></tt:Messages>'
        if one.topic
        else ""
    )
    return f'<{tag} Name="{one.kind}" fixed="true" maxInstances="1"><tt:Parameters>{parameters}</tt:Parameters>{messages}</{tag}>'


def _module_options(_unit: Unit, call: Call) -> str:
    _the_configuration(call)
    return "".join(_range("tan:Options", module, "AnalyticsModule") for module in MODULES)


def _rule_options(_unit: Unit, call: Call) -> str:
    _the_configuration(call)
    return "".join(_range("tan:RuleOptions", rule, "RuleType") for rule in RULES)


def _range(tag: str, one: BuiltIn, named: str) -> str:
    low, high = one.range
    inner = f"<tt:IntRange><tt:Min>{low}</tt:Min><tt:Max>{high}</tt:Max></tt:IntRange>"
    return f'<{tag} {named}="{one.kind}" Name="{one.parameter}" Type="tt:IntRange">{inner}</{tag}>'


def _supported_metadata(unit: Unit, _call: Call) -> str:
    """What a frame of its metadata would look like: no objects, as its rules need none."""
    frame = f'<tan:SampleFrame UtcTime="{xml_time(unit.now())}"/>'
    return "".join(f'<tan:AnalyticsModule Type="{module.kind}">{frame}</tan:AnalyticsModule>' for module in MODULES)


def _the_configuration(call: Call) -> None:
    if call.text("ConfigurationToken") != ANALYTICS:
        raise invalid("no such configuration", "ter:NoConfig")


SERVICE: Final = Service(
    prefix="tan",
    paths={"": "/onvif/analytics_service", "HIKVISION": "/onvif/Analytics", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetSupportedAnalyticsModules": _supported_modules,
        "GetAnalyticsModules": _modules,
        "GetAnalyticsModuleOptions": _module_options,
        "GetSupportedRules": _supported_rules,
        "GetRules": _rules,
        "GetRuleOptions": _rule_options,
        "GetSupportedMetadata": _supported_metadata,
    },
)
