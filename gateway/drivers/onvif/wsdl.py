"""Requests built and answers read from ONVIF's own WSDLs by zeep, in one worker thread; zeep never sends or fetches anything.

zeep and the WSDLs are loaded when first needed: half a second and some 35 MiB, then 3 to 6 MiB a service. They come from the package
onvif-zeep-async, which is found and not imported: importing it configures logging and changes the environment of the process.
Two things of zeep are changed: impossible dates read as None and overflowing ones are carried, and what it logs of a device's errors is
dropped, because a device could fill our log with it.
"""

import asyncio
import gc
import importlib.util
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lxml import etree

from gateway.drivers.onvif.soap import MEDIA, PTZ, RECORDING, REPLAY, SEARCH, Operation, local
from gateway.drivers.onvif.times import read_datetime
from gateway.errors import Overloaded, ProtocolError

WAITING_LIMIT = 2048
"""Pieces of work that may wait for the worker; a millisecond each, and a deadline stands behind each of them."""

T = TypeVar("T")


class Wsdls:
    """The schemas of those services that zeep speaks for us, and the worker that uses them."""

    def __init__(self) -> None:
        self._schemas: dict[str, Any] = {}
        self._context: Callable[[], Any] = lambda: None
        self._waiting = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="onvif-wsdl")

    async def build(self, namespace: str, name: str, arguments: Mapping[str, Any], *, large: bool, repeatable: bool) -> Operation:
        """The request for an operation; `arguments` as its schema names them."""
        body = await self._work(partial(self.body, namespace, name, arguments))
        return Operation(namespace, name, body, large=large, repeatable=repeatable)

    async def read(self, payload: etree._Element, convert: Callable[[Any], T]) -> T:
        """`convert` of an answer's payload as zeep reads it, both in the worker."""
        return await self._work(partial(self.value, payload, convert))

    async def warm(self, *namespaces: str) -> None:
        """Load what the operations of `namespaces` need, so that the first call does not wait for it.

        What is in memory then is left out of the garbage collector's rounds: it stays, and going through zeep's graphs stops everything
        for a tenth of a second and more.
        """
        gc.disable()
        try:
            for namespace in namespaces:
                await self._work(partial(self._schema, namespace))
            gc.freeze()
        finally:
            gc.enable()

    def body(self, namespace: str, name: str, arguments: Mapping[str, Any]) -> bytes:
        """What stands inside the body of a request. Blocks: for the worker, and for tests."""
        element = self._schema(namespace).get_element(f"{{{namespace}}}{name}")
        parent = etree.Element("parent")
        element.render(parent, element(**arguments))
        return etree.tostring(parent[0])

    def value(self, payload: etree._Element, convert: Callable[[Any], T]) -> T:
        """`convert` of a payload as zeep reads it. Blocks: for the worker, and for tests.

        Raises ProtocolError when the answer has not the shape that its schema says: zeep, and `convert` behind it, meet that with
        whatever Python raises there.
        """
        schema = self._schema(etree.QName(payload).namespace or "")
        try:
            return convert(schema.get_element(payload.tag).parse(payload, schema, context=self._context()))
        except Exception as error:
            raise ProtocolError(f"{local(payload)} is not what its schema says ({type(error).__name__})") from error

    async def _work(self, job: Callable[[], T]) -> T:
        if self._waiting >= WAITING_LIMIT:
            raise Overloaded("too many ONVIF answers wait to be read")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, job)
        finally:
            self._waiting -= 1

    def _schema(self, namespace: str) -> Any:
        if namespace not in self._schemas:
            self._schemas[namespace], self._context = _load(_FILES[namespace])
        return self._schemas[namespace]


WSDLS = Wsdls()
"""One for the process: WSDLs do not change, and zeep's graphs are too large to have twice."""


def folder() -> Path:
    """Where the WSDLs of onvif-zeep-async lie."""
    found = importlib.util.find_spec("onvif")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations))) / "wsdl"


_FILES = {MEDIA: "media.wsdl", PTZ: "ptz.wsdl", RECORDING: "recording.wsdl", SEARCH: "search.wsdl", REPLAY: "replay.wsdl"}
_DATE_AND_TIME = "{http://www.w3.org/2001/XMLSchema}dateTime"


def _load(file: str) -> tuple[Any, Callable[[], Any]]:
    """The schema of a WSDL, and what zeep wants anew for each answer that it reads by it."""
    from zeep.settings import Settings  # noqa: PLC0415 -- loaded when first needed, as said above
    from zeep.wsdl import Document  # noqa: PLC0415 -- as above
    from zeep.xsd.context import XmlParserContext  # noqa: PLC0415 -- as above

    quiet = logging.getLogger("zeep")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())
    # Not `strict` about order and absence, as firmware is not; well-formedness was checked before.
    settings = Settings(strict=False, xml_huge_tree=False)
    schema = Document(str(folder() / file), _Files(), settings=settings).types  # type: ignore[arg-type]  # it only loads
    schema.get_type(_DATE_AND_TIME).pythonvalue = read_datetime  # type: ignore[no-untyped-call]  # zeep's own lack
    return schema, partial(XmlParserContext, settings)


class _Files:
    """What zeep calls a transport; this one only reads the package's own folder."""

    def load(self, url: str) -> bytes:
        path = Path(url).resolve()
        if not path.is_relative_to(folder().resolve()):
            raise FileNotFoundError(f"{url} is not part of the WSDLs")
        return path.read_bytes()
