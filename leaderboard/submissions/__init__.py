"""Logs that other people send, as zips. Knows `contract`, `read` and `decide`.

- `archives`: packs event files, and unpacks what is untrusted within bounds;
- `check`: says whether a submission can be ranked, and why not.
"""
