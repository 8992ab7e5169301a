"""From tables to what people read. Knows `contract`, `read`, `decide` and `claims`; decides nothing.

- `columns`: the columns of a table, which everything below shares;
- `view`: which columns are printed, and in which order;
- `lines`: the text under and beside a table;
- `terminal`, `markdown`, `latex`: tables as text; `data`: CSV and JSON;
- `claims`: verdicts on the paper's claims as text;
- `drawing`: what all figures share; `trajectories` (and bars), `paper_bars`, `forest`, `matrix`, `cost`, `classes`: the
  figures of a table, whose names `kinds` lists and which `figures` writes; `diagram`: critical differences;
- `makers`: who made which rows, by their `submission.toml`;
- `page`: a static page, with templates and scripts in `site/`.
"""
