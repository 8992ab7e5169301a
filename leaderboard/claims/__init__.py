"""Claims of the paper held against logs. Knows `contract`, `read` and `decide`.

In the order in which data flows:

- `claims.toml`: what the paper reports, with its source; `schema`: read and checked;
- `evidence`: a table's methods with one value a pre-training seed, compared;
- `rules`, `rankings`: the `verdict` on one claim, as written down in `docs/explanation/claims.md` before the results;
- `judge`: every claim against every table. `show.claims` renders the findings.
"""
