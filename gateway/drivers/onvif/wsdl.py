"""Requests built and answers read from ONVIF's own WSDLs by zeep, in one worker thread; zeep never sends or fetches anything.

zeep and the WSDLs are loaded when first needed: half a second and some 35 MiB, then 3 to 6 MiB a service. They come from the package
onvif-zeep-async, which is found and not imported: importing it configures logging and changes the environment of the process.
Two things of zeep are changed: impossible dates read as None and overflowing ones are carried, and what it logs of a device's errors is
dropped, because a device could fill our log with it.
"""

import asyncio
import importlib.util
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from lxml import etree

from gateway.drivers.onvif.soap import MEDIA, PTZ, RECORDING, REPLAY, SEARCH, SOAP12, Operation
from gateway.drivers.onvif.times import read_datetime
from gateway.errors import Overloaded, ProtocolError

WAITING_LIMIT = 2048
"""Pieces of work that may wait for the worker; a millisecond each, and a deadline stands behind each of them."""

T = TypeVar("T")


class Wsdls:
    """The bindings of those services that zeep speaks for us, and the worker that uses them."""

    def __init__(self) -> None:
        self._bindings: dict[str, Any] = {}
        self._waiting = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onvif-wsdl")

    async def build(self, namespace: str, name: str, arguments: Mapping[str, Any], *, large: bool, repeatable: bool) -> Operation:
        """The request for an operation; `arguments` as its schema names them."""
        body = await self._work(lambda: self.body(namespace, name, arguments))
        return Operation(namespace, name, body, large=large, repeatable=repeatable)

    async def read(self, namespace: str, name: str, payload: etree._Element, convert: Callable[[Any], T]) -> T:
        """`convert` of what zeep makes of an answer's payload, both in the worker. Raises ProtocolError when the schema does not fit."""
        return await self._work(lambda: convert(self.value(namespace, name, payload)))

    def body(self, namespace: str, name: str, arguments: Mapping[str, Any]) -> bytes:
        """The XML inside the envelope's body. Blocks; for the worker and for tests."""
        made = self._operation(namespace, name).create(**arguments).content
        return etree.tostring(made.find(f"{{{SOAP12}}}Body")[0])

    def value(self, namespace: str, name: str, payload: etree._Element) -> Any:
        """The payload of an answer as zeep's value. Blocks; for the worker and for tests."""
        operation = self._operation(namespace, name)
        envelope = etree.Element(f"{{{SOAP12}}}Envelope")
        etree.SubElement(envelope, f"{{{SOAP12}}}Body").append(payload)
        try:
            return operation.process_reply(envelope)
        except Exception as error:  # zeep meets what breaks the schema with whatever Python raises there
            raise ProtocolError(f"the answer to {name} is not what its schema says ({type(error).__name__})") from None

    async def _work(self, job: Callable[[], T]) -> T:
        if self._waiting >= WAITING_LIMIT:
            raise Overloaded("too many ONVIF answers wait to be read")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, job)
        finally:
            self._waiting -= 1

    def _operation(self, namespace: str, name: str) -> Any:
        if namespace not in self._bindings:
            self._bindings[namespace] = _load(*_SERVICES[namespace])
        return self._bindings[namespace].get(name)


WSDLS = Wsdls()
"""One for the process: WSDLs do not change, and zeep's graphs are too large to have twice."""


def folder() -> Path:
    """Where the WSDLs of onvif-zeep-async lie."""
    found = importlib.util.find_spec("onvif")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations))) / "wsdl"


_SERVICES = {
    MEDIA: ("media.wsdl", f"{{{MEDIA}}}MediaBinding"),
    PTZ: ("ptz.wsdl", f"{{{PTZ}}}PTZBinding"),
    RECORDING: ("recording.wsdl", f"{{{RECORDING}}}RecordingBinding"),
    SEARCH: ("search.wsdl", f"{{{SEARCH}}}SearchBinding"),
    REPLAY: ("replay.wsdl", f"{{{REPLAY}}}ReplayBinding"),
}


def _load(file: str, binding: str) -> Any:
    from zeep.settings import Settings  # noqa: PLC0415 - loaded when first needed, as said above
    from zeep.wsdl import Document  # noqa: PLC0415
    from zeep.xsd.types.builtins import DateTime, default_types  # noqa: PLC0415

    quiet = logging.getLogger("zeep")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())
    default_types[DateTime._default_qname].pythonvalue = read_datetime  # type: ignore[method-assign, assignment]  # the one instance
    # Not `strict` about order and absence, as firmware is not; well-formedness was checked before.
    settings = Settings(strict=False, xml_huge_tree=False)
    return Document(str(folder() / file), _Files(), settings=settings).bindings[binding]  # type: ignore[arg-type]  # it only loads


class _Files:
    """What zeep calls a transport; this one only reads the package's own folder."""

    def load(self, url: str) -> bytes:
        path = Path(url).resolve()
        if not path.is_relative_to(folder().resolve()):
            raise FileNotFoundError(f"{url} is not part of the WSDLs")
        return path.read_bytes()
