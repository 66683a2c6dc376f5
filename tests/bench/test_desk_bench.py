"""The bench of the footage desk calls what it says it calls, and finds nothing wrong."""

import asyncio
from pathlib import Path

from bench.desk_calls import sequences


def test_some_sequences_reach_every_kind_of_call_and_break_no_rule(tmp_path: Path) -> None:
    wrong, counts, answers = asyncio.run(sequences(0, 120, tmp_path))
    assert not wrong
    assert counts["with_files"] > 0
    called = {answer.partition(":")[0] for answer in answers}
    assert {"submit_footage_request", "approve_footage_request", "download_footage", "make_footage_link", "hand_over_footage"} <= called
