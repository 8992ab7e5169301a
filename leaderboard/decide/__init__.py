"""From `Logs` to ranked tables. Knows `contract` and `read`; no text for a terminal or a file is made here.

In the order in which data flows:

- `select`: a setting and a rate for each method, on selection trials;
- `compare`: estimates with intervals, pairs of methods, ranks; `groups`: significance groups (letters);
- `power`, `variance`: what difference a table detects, and how its trials vary;
- `metrics`: what a table ranks by; `repeats`: how well results are reproduced;
- `rows`: the row of a method; `notes`: what a reader must know; `tables`: the ranked tables;
- `sentence`: which methods of a table are significantly different;
- `curves`: the trajectory of each row; `overview`: several data sets side by side.
"""
