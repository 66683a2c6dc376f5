"""What a camera of the running city shows: its own clock and its views, as its pictures need them."""

from simulators.city import City, SimDevice
from simulators.frames import Sight
from simulators.state import State


def sight_of(state: State, city: City, camera_id: str) -> Sight:
    """A camera as its pictures show it: with its clock and its views."""
    camera = city.by_id(camera_id)
    if camera is None:
        return Sight(camera_id)
    return Sight(camera_id, lambda: offset_of(state, camera), lambda at: state.view(camera_id, at))


def offset_of(state: State, device: SimDevice) -> float:
    """A device's clock minus the city's, in seconds, to the millisecond: what was recorded once looks the same whenever it is replayed."""
    return round(state.clock_offset_s(device), 3)
