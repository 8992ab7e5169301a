"""Logs that other people send, as zips. Knows `contract`, `read` and `decide`.

- `archives`: packs event files, and unpacks what is untrusted within bounds;
- `findings`: what is wrong with its logs; `names`: names that read like others; `beside`: what would change in the
  logs that it joins;
- `check`: says whether a submission can be ranked, and why not.
"""
