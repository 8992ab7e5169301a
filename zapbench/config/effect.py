"""Which bindings had an effect: what gin recorded while a configuration was used.

A binding has none where its scope is never entered, a binding in a closer scope hides it, the caller gives the
parameter itself, or nothing refers to what it binds.
"""

from collections.abc import Iterable, Sequence

import gin

from zapbench.config.bindings import Binding


class Effects:
    """Which bindings had an effect in at least one of several configurations, by the file that they are in."""

    def __init__(self) -> None:
        self._with: set[tuple[str, Binding]] = set()
        self._reasons: dict[tuple[str, Binding], str] = {}

    def observe(self, bindings: Sequence[Binding], file: str = "") -> None:
        """Notes which bindings of a file, or of `-p` and a suite, the current configuration used."""
        self._with |= {(file, binding) for binding in used(bindings)}
        self._reasons |= {(file, binding): reason_without_effect(binding) for binding in bindings}

    def refuse_idle(self) -> None:
        """Refuses bindings that had no effect anywhere.

        Raises:
            ValueError: names one, its file and the reason.
        """
        for (file, binding), reason in self._reasons.items():
            if (file, binding) not in self._with:
                where = f" of {file}" if file else ""
                raise ValueError(f"{binding}{where} has no effect in these runs: {reason}")


def used(bindings: Iterable[Binding]) -> set[Binding]:
    """Returns the bindings whose value was used since the configuration was composed."""
    return {binding for binding in bindings if _is_used(binding)}


def reason_without_effect(binding: Binding) -> str:
    """Says why a binding has no effect, as far as gin's record of the current configuration tells."""
    scope, selector, parameter = _parts(binding)
    if parameter is None:
        return f"nothing reads {binding.key}"
    calls = {where: values for (where, name), values in _calls() if name == selector}
    if not calls:
        return f"{selector} is not used"
    closer = sorted(where for where in calls if where.startswith(scope) and where != scope)
    hidden = [f"{where}/{selector}.{parameter}" for where in closer if (where, parameter) in _bound(selector)]
    if hidden:
        return f"{', '.join(hidden)} is bound and hides it"
    if not any(_inside(where, scope) for where in calls):
        named = ", ".join(sorted(f"{where}/{selector}" if where else selector for where in calls))
        return f"no scope {scope!r} is entered; there is {named}"
    return f"{selector} is given {parameter} by its caller"


def _is_used(binding: Binding) -> bool:
    scope, selector, parameter = _parts(binding)
    if parameter is None:
        return any(name == "macro" and where.split("/")[-1] == binding.key for (where, name), _ in _calls())
    bound = _bound(selector)
    for (where, name), values in _calls():
        if name == selector and parameter in values and _inside(where, scope):
            between = [part for part in _prefixes(where) if len(part) > len(scope) and (part, parameter) in bound]
            if not between:
                return True
    return False


def _parts(binding: Binding) -> tuple[str, str, str | None]:
    scope, _, name = binding.key.rpartition("/")
    selector, dot, parameter = name.rpartition(".")
    return (scope, selector, parameter) if dot else (scope, name, None)


def _calls() -> list[tuple[tuple[str, str], dict[str, object]]]:
    """Returns gin's record: (scope, name of the configurable) and the parameters that it supplied."""
    recorded = gin.config._OPERATIVE_CONFIG.items()  # gin's public `operative_config_str` drops scopes that it merges
    return [((where, selector.rsplit(".", 1)[-1]), values) for (where, selector), values in recorded]


def _bound(selector: str) -> set[tuple[str, str]]:
    """Returns the scopes and parameters in which a configurable is bound."""
    return {
        (where, parameter)
        for (where, name), values in gin.config._CONFIG.items()
        if name.rsplit(".", 1)[-1] == selector
        for parameter in values
    }


def _prefixes(scope: str) -> list[str]:
    parts = scope.split("/") if scope else []
    return ["/".join(parts[:count]) for count in range(len(parts) + 1)]


def _inside(where: str, scope: str) -> bool:
    return scope in _prefixes(where)
