from bench import crash


def test_nothing_that_was_acknowledged_is_lost_when_the_daemon_is_killed() -> None:
    figures = crash.measure(rounds=2, seed=7)["figures"]
    assert figures["kills"] == 2
    assert figures["acknowledged"] >= 2 * crash.AT_LEAST
    assert figures["lost"] == 0
    assert figures["audit_intact"] is True
