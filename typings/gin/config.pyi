from typing import Any

_REGISTRY: Any
