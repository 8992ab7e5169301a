from collections.abc import Iterator
from typing import Any, NamedTuple

class ParserDelegate: ...

class BindingStatement(NamedTuple):
    scope: str
    selector: str
    arg_name: str
    value: Any
    location: Any

class ConfigParser:
    def __init__(self, string_or_filelike: Any, parser_delegate: ParserDelegate) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...

class ImportStatement:
    module: str
