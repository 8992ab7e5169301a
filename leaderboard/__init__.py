"""From TensorBoard logs to an honest ranked table. Imports neither torch nor Avalanche."""
