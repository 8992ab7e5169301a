"""Files that travel to and from machines that share no disk."""

from zapbench.experiment import checkpoints
from zapbench.launchers.run_files import HEAD_BYTES, changed_files, files_to_resume, record_heads, write_files
from zapbench.leaderboard import contract
from zapbench.tasks import Job, RunSpec, TrialSpec

TRIAL = TrialSpec("sequential", 0.01, "select", 0)
JOB = Job(RunSpec("glyphs", "asb", 0), (TRIAL,))
RUN = JOB.run.folder.as_posix()
CHECKPOINT, RUN_RECORD = f"{RUN}/{checkpoints.FILE}", f"{RUN}/{contract.EVENT_FILE}"
TRIAL_RECORD = f"{RUN}/{TRIAL.folder.as_posix()}/{contract.EVENT_FILE}"
OTHER_RECORD = f"{RUN}/sequential/lr=0.5/select=9/{contract.EVENT_FILE}"
MADE = {
    CHECKPOINT: b"weights",
    RUN_RECORD: bytes(HEAD_BYTES + 5),
    TRIAL_RECORD: b"a trial of the job",
    OTHER_RECORD: b"a trial of another job",
}


def test_a_job_receives_what_it_resumes_from_and_returns_what_it_changed(tmp_path):
    write_files(MADE, tmp_path / "launcher")
    (tmp_path / "launcher" / RUN / ".part-1").write_bytes(b"left by a crash")
    sent = files_to_resume(tmp_path / "launcher", JOB)
    assert sent == {name: MADE[name] for name in (CHECKPOINT, RUN_RECORD, TRIAL_RECORD)}
    write_files(sent, tmp_path / "node")
    (tmp_path / "node" / RUN / ".part-2").write_bytes(b"left by a crash")
    assert changed_files(tmp_path / "node", JOB, sent) == {}
    (tmp_path / "node" / CHECKPOINT).write_bytes(b"new weights")
    assert changed_files(tmp_path / "node", JOB, sent) == {CHECKPOINT: b"new weights"}


def test_a_check_receives_the_first_bytes_of_event_files_alone(tmp_path):
    write_files(MADE, tmp_path)
    assert record_heads(tmp_path, [JOB]) == {RUN_RECORD: bytes(HEAD_BYTES), TRIAL_RECORD: MADE[TRIAL_RECORD]}


def test_files_are_written_in_the_order_in_which_a_job_makes_them(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr("zapbench.launchers.run_files.write_atomically", lambda path, content: order.append(path))
    write_files({name: b"" for name in (TRIAL_RECORD, CHECKPOINT, RUN_RECORD)}, tmp_path)
    assert order == [tmp_path / RUN_RECORD, tmp_path / CHECKPOINT, tmp_path / TRIAL_RECORD]
