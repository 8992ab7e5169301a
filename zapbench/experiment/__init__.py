"""One run: pre-train a model, then transfer it.

`root` registers everything with gin, composes the configuration of a job and makes an `Experiment`;
`context` is what its parts share. `pretraining` makes or loads the model under `monitor`, which writes curves and
`checkpoints`; `trials` transfers it; `record` writes the event files; `resources` measures what it took. May import
transfer, strategies, networks, scenarios, the log contract; launchers and checks import it.
"""
