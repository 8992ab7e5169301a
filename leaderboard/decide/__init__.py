"""From `Logs` to ranked tables. Knows `contract` and `read`; no text for a terminal or a file is made here.

In the order in which data flows:

- `select`: a setting and a rate for each method, on selection trials;
- `compare`: estimates with intervals, pairs of methods, ranks; `groups`: significance groups (letters);
- `power`, `variance`: what difference a table detects, and how its trials vary;
- `metrics`: what a table ranks by; `repeats`: how well results are reproduced;
- `rows`: the row of a method; `note`: a line below a table; `method_notes` and `notes`: what a reader must know, of
  methods and of the table; `tables`: the ranked tables;
- `relations`: which methods each is above or not different from; `sentence`: the same in words;
- `references`: floors and ceilings; `class_tables`: the accuracy of each class over time, `dynamics`: what it says of
  shock and interference;
- `curves`: the trajectory of each row; `overview`: several data sets side by side.
"""
