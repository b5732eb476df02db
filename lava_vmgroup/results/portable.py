# SPDX-License-Identifier: MIT
"""A node's result as JSON data and back, for its way to another process.

The type hints of the classes drive both directions, so no field is listed here again.  The data
come from another process, so every value is checked against its type.
"""

from __future__ import annotations

import base64
import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from signal import Signals
from typing import Any, Union, get_args, get_origin, get_type_hints

from lava_vmgroup.base import errors
from lava_vmgroup.base.errors import Canceled, JobError, MultiNodeError, VMGroupError
from lava_vmgroup.results.model import NodeResult

_PLAIN: tuple[type, ...] = (str, int, float, bool)
_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, VMGroupError)
}


def to_data(result: NodeResult) -> dict[str, Any]:
    """Return the result as JSON data."""
    data: dict[str, Any] = _encode(result)
    return data


def from_data(data: Any) -> NodeResult:
    """Return the result in JSON data; raises `MultiNodeError` if they are no node's result."""
    try:
        result: NodeResult = _decode(NodeResult, data)
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise MultiNodeError(f"not a node's result: {type(error).__name__}: {error}") from error
    # Reports name the same error object only once, so an action's copy of the node's error becomes
    # the node's object.
    actions = tuple(
        replace(one, error=result.error) if _same(one.error, result.error) else one
        for one in result.actions
    )
    return replace(result, actions=actions)


def _same(one: VMGroupError | None, other: VMGroupError | None) -> bool:
    return one is not None and other is not None and _encode(one) == _encode(other)


def without_attachments(result: NodeResult) -> NodeResult:
    """Return the result without the files that its tests left, which are most of its size."""
    runs = tuple(
        replace(
            run,
            attachments=(),
            cases=tuple(replace(case, attachments=()) for case in run.cases),
        )
        for run in result.runs
    )
    return replace(result, runs=runs)


def _encode(value: Any) -> Any:
    if isinstance(value, VMGroupError):
        return _encode_error(value)
    if is_dataclass(value):
        return {one.name: _encode(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_encode(item) for item in value]
    return value


def _encode_error(error: VMGroupError) -> dict[str, Any]:
    data: dict[str, Any] = {
        "class": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "last_lines": list(error.last_lines),
        "node": error.node,
        "action": error.action,
    }
    if isinstance(error, Canceled):
        data["signal_number"] = error.signal_number
    if isinstance(error, JobError):
        data["problems"] = list(error.problems)
    return data


def _decode(kind: Any, data: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        [given] = [one for one in arguments if one is not type(None)]
        return None if data is None else _decode(given, data)
    if origin is tuple:
        return _decode_tuple(arguments, data)
    if origin is not None and issubclass(origin, Mapping):
        return {_decode(str, key): _decode(arguments[1], data[key]) for key in data}
    return _decode_single(kind, data)


def _decode_single(kind: Any, data: Any) -> Any:
    if kind is VMGroupError:
        return _decode_error(data)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        return kind(**{one.name: _decode(hints[one.name], data[one.name]) for one in fields(kind)})
    if kind is datetime:
        moment = datetime.fromisoformat(_decode(str, data))
        if moment.tzinfo is None:
            raise ValueError("a time without its zone")
        return moment.astimezone(UTC)
    if kind is bytes:
        return base64.b64decode(_decode(str, data), validate=True)
    if issubclass(kind, Enum):
        return kind(data)
    return _decode_plain(kind, data)


def _decode_plain(kind: type, data: Any) -> Any:
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        if not math.isfinite(data):
            raise ValueError("a number that is none")
        return float(data)
    if kind not in _PLAIN or type(data) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(data).__name__}")
    return data


def _decode_tuple(arguments: tuple[Any, ...], data: Any) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise TypeError(f"expected a list, got {type(data).__name__}")
    if arguments[-1] is Ellipsis:
        return tuple(_decode(arguments[0], item) for item in data)
    return tuple(_decode(kind, item) for kind, item in zip(arguments, data, strict=True))


def _decode_error(data: Any) -> VMGroupError:
    kind = _ERRORS[data["class"]]
    message = _decode(str, data["message"])
    if kind is Canceled:
        number = Signals(_decode(int, data["signal_number"])).value
        error: VMGroupError = Canceled(message, signal_number=number)
    elif kind is JobError:
        error = JobError(message, problems=_decode(tuple[str, ...], data["problems"]))
    else:
        error = kind(message)
    error.hint = _decode(str | None, data["hint"])
    error.last_lines = _decode(tuple[str, ...], data["last_lines"])
    return error.at(
        node=_decode(str | None, data["node"]), action=_decode(str | None, data["action"])
    )
