"""Launchers: where the jobs of a suite run.

`base` is the interface that every launcher keeps; `local` has the two of this machine, `ray` the one of a cluster
(`ray_worker` is what its nodes do, `run_files` what they are sent). They share `schedule` (which job next, and what to
do when one fails), `job` (what a process does with a job), `progress`, `interrupts`, `worker_logs`, `gpus` and
`allocator`. May import experiment (inside the processes that train, not when imported), tasks, config; suites and
checks import it.
"""
