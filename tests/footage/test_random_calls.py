"""No sequence of calls gets footage without a second person, a case number and the key's scope; `./gw bench desk` tries 100,000."""

from pathlib import Path

from bench.desk_calls import sequences

SEQUENCES = 80


async def test_no_sequence_of_calls_gets_footage_that_it_may_not(tmp_path: Path) -> None:
    wrong, counts, answers = await sequences(0, SEQUENCES, tmp_path)
    assert wrong == []
    assert counts["requests"] > SEQUENCES // 4
    assert counts["looked_up"] > SEQUENCES // 10
    assert counts["with_files"] > SEQUENCES // 30
    assert {"second-person", "wrong-state", "out-of-scope", "forbidden"} <= {name.partition(": ")[2] for name in answers}
