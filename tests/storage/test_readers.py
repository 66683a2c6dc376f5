"""The cursors of the events' readers."""

from gateway.storage.store import Store
from gateway.storage.writer import Lane


async def test_a_reader_goes_on_where_it_stopped(store: Store):
    async with store.read() as tx:
        assert await tx.readers.cursor("mqtt") is None
    for cursor in (5, 9):
        await store.writer.write(lambda tx, cursor=cursor: tx.readers.advance("mqtt", cursor), lane=Lane.HEALTH)
    await store.writer.write(lambda tx: tx.readers.advance("webhook", 2), lane=Lane.HEALTH)
    async with store.read() as tx:
        assert (await tx.readers.cursor("mqtt"), await tx.readers.cursor("webhook")) == (9, 2)
