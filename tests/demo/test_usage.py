"""What a process costs, by its own clock."""

import os
import time

import pytest

from demo import usage


def test_the_exact_clock_of_a_process_is_the_one_that_it_sees_itself():
    before, told, after = time.process_time(), usage.exact_cpu_seconds(os.getpid()), time.process_time()
    assert before <= told <= after


def test_a_process_that_is_gone_has_no_clock():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(OSError):
        usage.exact_cpu_seconds(child)
