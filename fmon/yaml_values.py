"""Construct the values of YAML: for a bad value PyYAML raises almost anything, here it is one error.

``!!bool x`` is a KeyError, ``!!int ""`` an IndexError, ``!!timestamp x`` an AttributeError, and a date that
does not exist a ValueError. PyYAML is imported late, since few polls read a YAML.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from yaml import ScalarNode


class YamlValueError(ValueError):
    """A text is not valid YAML, or a value is not of the type that it says."""


MAX_DEPTH = 50
"""Deeper nesting is refused before ``compose``, whose recursion in C would crash the process."""


def is_too_deep(text: str) -> bool:
    """Return whether a text is nested too deeply to be composed.

    Raises
    ------
    yaml.YAMLError
        The text is not valid YAML.
    """
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return False


def load_documents(text: str) -> list[Any]:
    """Return the values of all documents, those that are empty as None.

    Raises
    ------
    YamlValueError
        The text is not valid YAML.
    """
    import yaml

    with _one_error():
        return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def scalar_value(node: ScalarNode) -> Any:
    """Return the value of a node.

    Raises
    ------
    YamlValueError
        Its text is not of its type.
    """
    import yaml

    with _one_error():
        return yaml.constructor.SafeConstructor().construct_object(node)


@contextmanager
def _one_error() -> Iterator[None]:
    import yaml

    try:
        yield
    except yaml.YAMLError as fault:
        raise YamlValueError(str(fault)) from fault
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as fault:
        message = f"a value is not of its type: {type(fault).__name__}: {fault}"
        raise YamlValueError(message) from fault
