"""Data sets and protocol sizes, as pre-training sets and transfer trials."""
