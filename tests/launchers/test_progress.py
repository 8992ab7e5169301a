"""What a person sees while a suite runs, with a terminal and without."""

import io
import re
import threading

import pytest
from rich.console import Console

from zapbench.launchers import progress
from zapbench.launchers.progress import Display, display, following, shortened, waiting

NAME = "glyphs/asb/default/seed=0"


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_lines_say_phase_share_and_time_left_every_half_minute(clock):
    file = io.StringIO()
    with display(Console(file=file, width=200), "pre-training and selection", 2) as shown:
        for second in range(0, 91):
            clock[0] = float(second)
            shown.update((0, NAME, "pre-training", second * 10, 1000))
    assert file.getvalue().splitlines() == [
        "pre-training and selection: 0/2 runs, 1 running, over 1 min 10 s left",
        f"  {NAME}: pre-training 300/1,000 (30%, 1 min 10 s left)",
        "pre-training and selection: 0/2 runs, 1 running, over 40 s left",
        f"  {NAME}: pre-training 600/1,000 (60%, 40 s left)",
        "pre-training and selection: 0/2 runs, 1 running, over 10 s left",
        f"  {NAME}: pre-training 900/1,000 (90%, 10 s left)",
    ]


def test_a_thread_reports_while_no_message_arrives(monkeypatch):
    called = threading.Event()
    monkeypatch.setattr(progress.Display, "say_sometimes", lambda shown: called.set())
    with display(Console(file=io.StringIO()), "trials", 1):
        assert called.wait(60)


def test_a_job_that_sends_no_message_is_still_reported(clock):
    """Features or a long batch of trials take minutes without a message."""
    file = io.StringIO()
    with display(Console(file=file, width=200), "trials", 1) as shown:
        shown.update((0, NAME, "features", 0, 1))
        clock[0] = 29.0
        shown.say_sometimes()
        assert file.getvalue() == ""
        clock[0] = 31.0
        shown.say_sometimes()
    assert file.getvalue().splitlines() == ["trials: 0/1 runs, 1 running", f"  {NAME}: features 0/1 (0%)"]


def test_the_phase_is_named_where_a_job_ends():
    file = io.StringIO()
    for title in ("pre-training, selection", "reported trials"):
        with display(Console(file=file, width=200), title, 2) as shown:
            shown.finish(0, NAME, "done")
    assert file.getvalue().splitlines() == [
        f"pre-training, selection: 1/2 runs; {NAME}: done",
        f"reported trials: 1/2 runs; {NAME}: done",
    ]


def test_a_message_that_arrives_after_its_job_ended_shows_nothing(clock):
    """Workers send messages through a queue, and the end of a job another way."""
    file = io.StringIO()
    with display(Console(file=file, width=200), "trials", 2) as shown:
        shown.update((0, NAME, "transfer iid", 1, 2))
        shown.finish(0, NAME, "done")
        shown.update((0, NAME, "transfer iid", 2, 2))
        clock[0] = 31.0
        shown.say_sometimes()
    assert file.getvalue().splitlines() == [f"trials: 1/2 runs; {NAME}: done", "trials: 1/2 runs, 0 running, 0 s left"]


def test_the_phases_of_a_single_job_are_followed(clock):
    file = io.StringIO()
    with following(Console(file=file, width=200), "repeating", NAME) as progress:
        progress("features", 0, 1)
        clock[0] = 31.0
        progress("transfer iid", 1, 4)
    assert file.getvalue().splitlines() == ["repeating: 0/1 runs, 1 running", f"  {NAME}: transfer iid 1/4 (25%)"]


def test_no_time_is_shown_where_the_estimate_has_run_out(clock):
    """Selection trials are short: what is estimated from them ends before the first reported trial does."""
    file = io.StringIO()
    with display(Console(file=file, width=200), "trials", 1) as shown:
        shown.update((0, NAME, "transfer iid", 0, 4))
        clock[0] = 12.0
        shown.update((0, NAME, "transfer iid", 1, 4))
        clock[0] = 31.0
        shown.say_sometimes()
        clock[0] = 62.0
        shown.say_sometimes()
    assert file.getvalue().splitlines() == [
        "trials: 0/1 runs, 1 running, over 17 s left",
        f"  {NAME}: transfer iid 1/4 (25%, 17 s left)",
        "trials: 0/1 runs, 1 running",
        f"  {NAME}: transfer iid 1/4 (25%)",
    ]


def test_the_last_job_has_no_time_left_once_it_takes_longer_than_the_others(clock):
    left = progress.TimeLeft(2)
    for number in (0, 1):
        left.update(number, "features", 0, 1)
    clock[0] = 60.0
    left.finish(0)
    left.drop(0)
    clock[0] = 61.0
    assert left.text() == ""
    left.update(1, "transfer iid", 0, 2)
    clock[0] = 63.0
    left.update(1, "transfer iid", 1, 2)
    assert left.text() == "2 s"


def test_all_jobs_never_take_less_time_than_one_of_them(clock):
    left = progress.TimeLeft(3)
    left.update(0, "pre-training", 0, 10)
    clock[0] = 1.0
    left.update(0, "pre-training", 10, 10)
    left.finish(0)
    left.drop(0)
    assert left.seconds() == 2 * 1.0  # two jobs like the first
    left.update(1, "pre-training", 0, 100)
    clock[0] = 2.0
    left.update(1, "pre-training", 1, 100)
    assert left.text_of(1) == "1 min 39 s"
    assert left.seconds() == 99.0


def test_jobs_that_run_at_once_share_the_time_left(clock):
    left = progress.TimeLeft(5)
    for number in (0, 1):
        left.update(number, "pre-training", 0, 10)
    clock[0] = 60.0
    left.finish(0)
    left.drop(0)
    left.update(2, "pre-training", 0, 10)
    # job 1 has run for the 60 s that job 0 took; jobs 2 to 4 take 60 s each, two at a time
    assert left.seconds() == (0 + 60 + 2 * 60) / 2


def test_a_resumed_phase_is_timed_from_where_it_resumed(clock):
    left = progress.TimeLeft(1)
    left.update(0, "pre-training", 900, 1000)
    clock[0] = 10.0
    left.update(0, "pre-training", 950, 1000)
    assert left.text_of(0) == "10 s"
    assert left.text() == "over 10 s"


def test_a_long_name_leaves_room_for_bar_counts_and_time_left():
    name = "glyphs/asb_zap/" + "x" * 200 + "/seed=12"
    assert len(shortened(name, 40)) == 40
    assert shortened(name, 40).startswith("glyphs/asb_zap/")
    assert shortened(name, 40).endswith("/seed=12")
    assert shortened("short", 40) == "short"


@pytest.mark.parametrize("width", [80, 100])
def test_on_a_terminal_counts_and_time_left_are_never_cut(width, clock):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    long = "omniglot_small/meta_asb_zap/MetaASB.inner_lr=0.03/seed=12"
    with progress.Progress(*progress.columns(), console=console, auto_refresh=False) as live:
        shown = Display(live, console, "pre-training, selection", 100)
        for number, phase in ((0, "pre-training"), (1, "transfer sequential_unfrozen_batches")):
            clock[0] = 0.0
            shown.update((number, long, phase, 0, 14000))
            clock[0] = 1e6
            shown.update((number, long, phase, 7000, 14000))
        console.file = io.StringIO()
        live.refresh()
        drawn = console.file.getvalue()
    lines = [line for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[a-zA-Z]", drawn) if line.strip()]
    assert all(len(line) <= width for line in lines)
    overall, *jobs = [" ".join(line.split()) for line in lines]
    assert overall.startswith("pre-training, selection ")
    assert overall.endswith("0/100 runs 2 running over 11 days 13 h")
    for line, phase in zip(jobs, ("pre-training", "sequent…_batches"), strict=True):
        assert line.startswith("omni")
        assert "12 " in line
        assert line.endswith(f"7000/14000 {phase} 11 days 13 h")


def test_what_one_waits_for_is_said_every_half_minute(monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.001)
    file, again = io.StringIO(), threading.Event()

    class Watched(io.StringIO):
        def write(self, text):
            if "since" in text:
                again.set()
            return file.write(text)

    with waiting(Console(file=Watched(), width=200), "importing Avalanche") as say:
        assert again.wait(60)
        say("checking 3/12")
        again.clear()
        assert again.wait(60)
        again.clear()
        assert again.wait(60)
    lines = file.getvalue().splitlines()
    assert lines[0] == "importing Avalanche (since 0 s)"
    assert lines[-1] == "checking 3/12 (since 0 s)"
