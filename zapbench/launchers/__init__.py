"""Launchers: where the jobs of a suite run.

`base` declares the interface of every launcher. `local` has the two launchers of this machine, `ray` the launcher of a
Ray cluster; `ray_worker` is the code that runs on a cluster's nodes, `run_files` packs the files that nodes receive and
return. All launchers share `schedule` (which job runs next, and what happens when one fails), `job` (how a process runs
a job), `progress`, `interrupts`, `worker_logs`, `gpus`, `cpus` and `allocator`. May import experiment (only inside the
processes that train, not when imported), tasks, config; suites and checks import it.
"""
