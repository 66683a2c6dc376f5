from collections.abc import AsyncIterator

import pytest

from gateway.drivers.snmp.engine import PollEngine
from gateway.drivers.snmp.polling import GufoEngine
from gateway.drivers.snmp.reference import PysnmpEngine

ENGINES = {"gufo-snmp": lambda: GufoEngine(try_s=0.2), "pysnmp": lambda: PysnmpEngine(try_s=0.2)}


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[PollEngine]:
    """Each test that asks for an engine runs on both."""
    made: PollEngine = ENGINES[request.param]()
    yield made
    await made.close()
