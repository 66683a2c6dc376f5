"""The health bench measures what it says: all checkers check the same fleet, and a checker that fails spoils the run."""

import pytest

from bench.health import measure, report


def test_all_checkers_check_one_fleet_and_the_ratios_follow() -> None:
    measured = measure(cameras=40, seconds=2.0)
    assert set(measured["ratios"]) == {"vs_onvif_zeep_async", "driver_vs_onvif_zeep_async", "vs_bare_limit"}
    figures = measured["figures"]
    for prefix in ("", "driver_", "bare_limit_", "onvif_zeep_async_"):
        assert figures[f"{prefix}checks"] >= 30
        assert figures[f"{prefix}failures"] == 0
        assert figures[f"{prefix}cpu_ms_per_check"] > 0


def test_a_ratio_is_theirs_by_ours_for_a_peer_and_ours_by_the_limits() -> None:
    costs = {"whole": 0.5, "ours": 0.4, "bare": 0.2, "peer": 2.0}
    assert report({name: {"cpu_ms_per_check": cost} for name, cost in costs.items()}) == {
        "figures": {
            "cpu_ms_per_check": 0.5,
            "driver_cpu_ms_per_check": 0.4,
            "bare_limit_cpu_ms_per_check": 0.2,
            "onvif_zeep_async_cpu_ms_per_check": 2.0,
        },
        "ratios": {"vs_onvif_zeep_async": 4.0, "driver_vs_onvif_zeep_async": 5.0, "vs_bare_limit": 2.0},
    }


def test_a_checker_that_is_not_there_leaves_its_ratio_out() -> None:
    assert report({"whole": {"cpu_ms_per_check": 0.5}})["ratios"] == {}


def test_a_checker_that_ends_early_spoils_the_run() -> None:
    with pytest.raises(RuntimeError):
        measure(cameras=1, seconds=1.0, pairs=[("no such checker",)])
