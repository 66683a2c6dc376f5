"""What is done without a daemon: judge its configuration, bring the schema up to date, import inventory, make a key."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway import tuning
from gateway.broadcast.holidays_file import load_holidays
from gateway.broadcast.hours_file import load_hours
from gateway.clock import SystemClock
from gateway.config import STORE_FILE, Config
from gateway.datadir import check_data_dir, held
from gateway.domain.access import Role
from gateway.domain.city import City
from gateway.domain.events import SYSTEM, AuditEntry, NewEvent
from gateway.drivers.profiles.library import Profiles
from gateway.errors import InvalidInput
from gateway.footage import keys, sm2_key
from gateway.footage.register import load_register
from gateway.inventory.logins import read_logins
from gateway.inventory.service import ImportResult, InventoryService
from gateway.mqtt import Broker
from gateway.notify import notifier as alerts
from gateway.reports.kinds import load_kinds
from gateway.storage.engine import check_store
from gateway.storage.store import Store, Tx
from gateway.storage.vault import check_key, load_key
from gateway.storage.writer import Lane


def mistakes(config: Config) -> list[InvalidInput]:
    """All that `serve` would refuse of what it reads because of `config`; nothing is changed.

    A file that is not there is passed over: whoever read `config` has told of it.
    """
    found = []
    for named, read in _readings(config):
        try:
            if all(map(os.path.exists, named)):
                read()
        except InvalidInput as error:
            found.append(error)
    return found


def _readings(config: Config) -> Iterator[tuple[list[Path], Callable[[], object]]]:
    """What `serve` reads, each with the files and folders that `config` names for it; it raises InvalidInput for what is wrong there."""
    yield [], partial(check_data_dir, config.data_dir)
    if config.key_file is not None or os.path.lexists(config.store_key()):  # else it is made in the data folder
        yield [], partial(check_key, config.store_key())
    if config.store is not None or os.path.lexists(config.data_dir / STORE_FILE):  # likewise
        yield _named(config.store_password_file), lambda: check_store(config.store_url())
    for path, read in (
        (config.profiles_dir, Profiles.load),
        (config.footage.register_file, load_register),
        (config.reports.excuses_file, load_kinds),
        (config.broadcast.hours_file, partial(load_hours, timezone=ZoneInfo(config.timezone))),
        (config.broadcast.holidays_file, load_holidays),
        (config.discovery.logins_file, read_logins),
        (config.alerts_file, alerts.check),
    ):
        if path is not None:
            yield [path], partial(read, path)
    yield _named(config.sip.password_file), partial(tuning.outbound, config.sip)
    yield _named(*(one.ca_file for one in config.footage.destinations)), partial(tuning.destinations, config.footage)
    if (mqtt := config.mqtt).url is not None:
        yield _named(mqtt.password_file, mqtt.ca_file, mqtt.cert_file, mqtt.key_file), partial(Broker.of, mqtt)


def _named(*paths: Path | None) -> list[Path]:
    return [path for path in paths if path is not None]


@asynccontextmanager
async def opened(config: Config, *, alone: bool = True) -> AsyncIterator[Store]:
    """The store with its writer running. `alone` refuses while a daemon holds the data folder."""
    with held(config.data_dir) if alone else nullcontext():
        key = load_key(config.store_key(), create=True)
        async with Store.open(config.store_url(), clock=SystemClock(), key=key, chain="offline") as store:
            writing = asyncio.create_task(store.writer.run(), name="writer")  # owned by this block, which ends it
            try:
                yield store
            finally:
                writing.cancel()
                await asyncio.wait([writing])


async def migrate(config: Config) -> None:
    """Make the store or bring it to the newest schema."""
    async with opened(config):
        pass


async def import_files(config: Config, files: Sequence[Path], *, dry_run: bool, prune: bool, tell: Callable[[ImportResult], None]) -> None:
    """Import each file in turn, all or nothing a file, and `tell` of each. Raises InvalidInput with every fault of the first wrong one."""
    async with opened(config) as store:
        service = InventoryService(store, City(), SystemClock())
        for file in files:
            try:
                data = await asyncio.to_thread(file.read_bytes)
            except OSError as error:
                raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
            tell(await service.import_file(data, file.name, actor=SYSTEM, dry_run=dry_run, prune=prune))


async def evidence_key(config: Config, *, rotate: bool = False, sm2: bool = False) -> tuple[list[keys.KnownCertificate], str]:
    """The evidence key's certificates, the current one first, and the fingerprint of the SM2 key, "" when there is none.

    With `rotate` or `sm2` after a new one was made of the former or of the latter; a running daemon takes it up.
    """
    folder, clock = config.data_dir / "evidence", SystemClock()
    if rotate or sm2:
        async with opened(config, alone=False) as store:
            made = []
            if rotate:
                made.append(("evidence-key.rotated", (await asyncio.to_thread(keys.rotate, folder, now=clock.now())).fingerprint))
            if sm2:
                made.append(("evidence-key.sm2-made", (await asyncio.to_thread(sm2_key.begin, folder)).fingerprint))

            async def change(tx: Tx) -> None:
                for action, fingerprint in made:
                    tx.record(AuditEntry(SYSTEM, action, fingerprint, clock.now(), {}))

            await store.writer.write(change, lane=Lane.FOOTAGE)
    second = sm2_key.open_second(folder)
    return keys.known(folder, now=clock.now()), second.fingerprint if second else ""


async def create_key(config: Config, *, name: str, roles: Iterable[Role]) -> str:
    """A new API key's text, which is shown only this once. A running daemon takes it up by itself."""
    clock = SystemClock()
    wanted = frozenset(roles)

    async def change(tx: Tx) -> str:
        key, text = await tx.keys.create(name=name, roles=wanted, now=clock.now())
        data = {"name": name, "roles": sorted(wanted)}
        tx.emit(NewEvent("key.created", key.id, clock.now(), data))  # a running daemon follows it, and reads its keys anew
        tx.record(AuditEntry(SYSTEM, "key.created", key.id, clock.now(), data))
        return text

    async with opened(config, alone=False) as store:
        return await store.writer.write(change, lane=Lane.FOOTAGE)
