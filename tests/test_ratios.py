"""Benchmarks' verdicts: a goal is missed only by more than the pairs differ among themselves."""

import pytest
from ratios import Ratio, Ratios


def test_a_ratio_is_the_median_of_its_pairs_and_falls_short_beyond_their_noise(capsys) -> None:
    ratios = Ratios()
    assert not ratios.add("close", [0.84, 0.88, 0.95], wanted=0.9, of="plain loop").falls_short
    assert ratios.exit_code() == 0
    assert ratios.add("slow", [0.52, 0.54, 0.56], wanted=0.9, of="plain loop").falls_short
    assert ratios.exit_code() == 1
    assert "0.54 ± 0.02 (wanted: 0.9)  FALLS SHORT" in capsys.readouterr().out


def test_pairs_are_measured_in_turns() -> None:
    order: list[str] = []

    def timed(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    found = Ratios().measure("job", lambda: timed("ours", 2.0), lambda: timed("peer", 3.0), wanted=1.0, of="peer")
    assert order == ["peer", "ours", "ours", "peer", "peer", "ours"]
    assert found == Ratio((1.5, 1.5, 1.5), 1.0)
    assert found.median == pytest.approx(1.5)
