"""Logs that other people send, as zips. Knows `contract`, `read` and `decide`.

- `archives`: packs event files, and unpacks what is untrusted within bounds;
- `evidence`: what is looked at in each trial;
- `findings`: what is wrong with its logs; `names`: names that read like others; `beside`: what would change in the
  logs that it joins;
- `copies`, `draws`, `measured`, `tuning`: trials that are another's, that were renumbered, that nobody measured, and
  settings tried that are not stated;
- `audits`: verdicts on rows of which a sample was run again;
- `check`: says whether a submission can be ranked, why not, and what a person should look at.
"""
