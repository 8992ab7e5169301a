"""Where the repository and the files that tests read lie."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LOGS = Path(__file__).parent / "logs"
DEMO = LOGS / "demo"
WEIGHTS = Path(__file__).parent / "weights" / "asb_zap.pt"
