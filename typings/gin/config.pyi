from typing import Any

_REGISTRY: Any
_INVERSE_REGISTRY: Any
_OPERATIVE_CONFIG: dict[tuple[str, str], dict[str, Any]]
_CONFIG: dict[tuple[str, str], dict[str, Any]]
