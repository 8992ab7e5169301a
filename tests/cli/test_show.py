"""`zapbench show` fits the screen."""

import pytest
from support.documents import DEMO

from zapbench.cli.main import main
from zapbench.cli.show import curve_lines


@pytest.mark.parametrize("width", [80, 100])
def test_every_curve_takes_one_line_of_the_screen(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["show", str(next(DEMO.rglob("report=0")))]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  transfer/")]
    assert len(lines) >= 3
    for line in lines:
        assert len(line) <= width
        assert "(step 60)" in line
        assert set(line) & set("▁▂▃▄▅▆▇█")


def test_a_curve_is_not_drawn_where_there_is_no_room():
    curves = {"a/long/name/of/a/curve": ([1, 2, 3], [0.0, 1.0, 0.5])}
    assert curve_lines(curves, 30) == ["  a/long/name/of/a/curve  0 to 0.5 (step 3)"]
    assert curve_lines(curves, 80) == ["  a/long/name/of/a/curve  ▁█▄  0 to 0.5 (step 3)"]
