"""The inventory's parts: imports, bindings, surveys of the uplinks, searches."""

from dataclasses import dataclass

from gateway import tuning
from gateway.composition.ground import Ground
from gateway.inventory.bindings import BindingDesk
from gateway.inventory.runs import Errands
from gateway.inventory.searching import SearchService
from gateway.inventory.service import InventoryService
from gateway.inventory.surveying import UplinkSurveyor


@dataclass(frozen=True, slots=True)
class InventoryParts:
    service: InventoryService
    bindings: BindingDesk
    errands: Errands
    uplinks: UplinkSurveyor
    searches: SearchService


def make_inventory(ground: Ground) -> InventoryParts:
    store, city, clock, drivers = ground.store, ground.city, ground.clock, ground.drivers
    service, errands = InventoryService(store, city, clock), Errands(clock)
    return InventoryParts(
        service=service,
        bindings=BindingDesk(store=store, city=city, clock=clock, inventory=service, reach_m=ground.config.broadcast.reach_m),
        errands=errands,
        uplinks=UplinkSurveyor(
            store=store,
            city=city,
            clock=clock,
            inventory=service,
            errands=errands,
            neighbours_of=drivers.neighbours_of,
            addresses_of=drivers.addresses_of,
        ),
        searches=SearchService(
            store=store,
            city=city,
            clock=clock,
            inventory=service,
            errands=errands,
            strangers=drivers.strangers,
            quirks_of=drivers.quirks_of,
            rules=tuning.searches(ground.config.discovery),
        ),
    )
