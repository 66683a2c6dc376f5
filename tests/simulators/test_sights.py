"""What a camera shows, whatever the machine does meanwhile."""

import itertools

from simulators.city import plan
from simulators.sights import offset_of
from simulators.state import State
from tests.simulators.street import NOW


def test_a_clock_is_as_far_off_as_it_is_however_long_it_takes_to_look() -> None:
    looks = itertools.count()
    state = State(now=lambda: NOW + 0.1 * next(looks))  # 100 ms go by between any two looks at the city's clock
    camera = plan(seed=3, groups=2, speakers=1).of_kind("camera")[0]
    assert offset_of(state, camera) == camera.clock_offset_s
