"""What a person sees while a suite runs, with a terminal and without."""

import io

import pytest
from rich.console import Console

from zapbench.launchers import progress
from zapbench.launchers.progress import display, shortened


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_says_phase_share_and_time_left_every_half_minute(clock):
    file = io.StringIO()
    with display(Console(file=file, width=200), "pre-training", 2) as shown:
        for second in range(0, 91):
            clock[0] = float(second)
            shown.update((0, "glyphs/asb/default/seed=0", "pre-training", second * 10, 1000))
    lines = [line for line in file.getvalue().splitlines() if "pre-training" in line]
    assert lines == [
        "0/2 glyphs/asb/default/seed=0: pre-training 300/1,000 (30%, 1 min 10 s left)",
        "0/2 glyphs/asb/default/seed=0: pre-training 600/1,000 (60%, 40 s left)",
        "0/2 glyphs/asb/default/seed=0: pre-training 900/1,000 (90%, 10 s left)",
    ]


def test_a_long_name_leaves_room_for_bar_counts_and_time_left():
    name = "glyphs/asb_zap/" + "x" * 200 + "/seed=12"
    assert len(shortened(name, 40)) == 40
    assert shortened(name, 40).startswith("glyphs/asb_zap/")
    assert shortened(name, 40).endswith("/seed=12")
    assert shortened("short", 40) == "short"
