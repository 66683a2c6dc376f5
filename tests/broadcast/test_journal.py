"""What the journal makes of an end that the store refuses: the delivery stays open for nobody."""

from dataclasses import replace

from gateway.broadcast.journal import Journal
from gateway.domain.broadcast import DeliveryState, Figures
from gateway.domain.devices import DeviceId
from tests.broadcast.house import House, playing


async def test_an_end_that_the_store_refuses_is_an_unknown_one_and_the_speaker_is_free(house: House) -> None:
    await playing(house)
    (told,) = (await house.service.get(house.order("b1").id)).deliveries
    journal = Journal(house.store, house.clock)
    journal.put(
        replace(told, state=DeliveryState.DONE, figures=Figures(encoding="PCMA"))
    )  # played, and nothing sent: it contradicts itself
    await journal.flush()
    async with house.store.read() as tx:
        (kept,) = await tx.broadcasts.deliveries(told.broadcast)
        assert DeviceId("s1") not in {delivery.speaker for _, delivery in await tx.broadcasts.open()}
    assert (kept.state, kept.reason) == (DeliveryState.UNKNOWN, "internal-error")
    assert not journal.waiting
