"""From event files to `Logs`. Knows `contract` alone; nothing here knows of tables.

In the order in which data flows:

- `files`: finds event files below a folder, and which of them make a run;
- `events`: an event file -> its records, up to the last undamaged one; `checksum`: theirs;
- `parse`: an event file -> what it says: description, status, curves; `plausible`: whether that can be true;
- `forgetting`: metrics of the accuracy of each class over time; `trial_metrics`: those of one trial, for columns;
- `mapping`: how logs that zapbench did not write are to be read; `foreign`: their event files -> curves;
  `hyperparameters`: TensorBoard's, or those of a file beside the logs; `mapped`: all of it -> what `parse` says;
- `suggest`, `suggest_names`: a mapping to start from;
- `cache`: keeps what was read for the next call;
- `names`: what rows are called; `merge`: which record of a task counts, where several are there;
- `tabulate`: what files say -> `Logs`, one row a trial and one row a run;
- `identity`: `submission.toml`, which says who made the logs of a folder;
- `load`: all of these, for one folder or several.
"""
