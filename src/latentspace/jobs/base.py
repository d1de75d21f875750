"""What every job shares: its options checked from its signature, and its result."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache, wraps
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from latentspace.errors import OptionError, nearest
from latentspace.folder import find
from latentspace.space.folder import Space, load

P = ParamSpec("P")
R = TypeVar("R")

#: told ``(what is going on, share done from 0 to 1 or None)`` now and then during long work
Progress = Callable[[str, float | None], None]


@dataclass
class Result:
    """What a job leaves.

    summary : plain words; tables : name → rows to print; figures : name → a function that draws it;
    files : what was written; data : all numbers, JSON-able; value : what was made (an array, a frame).
    """

    summary: str
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, Callable[[], Any]] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        """Summary, files and data as one JSON-able dictionary; a number that is not finite becomes null."""
        files = [str(f) for f in self.files]
        found: dict[str, Any] = jsonable({"summary": self.summary, "files": files, **self.data})
        return found


def jsonable(value: Any) -> Any:
    """`value` with NumPy's types as Python's, and NaN and infinities as None.

    >>> jsonable({"a": np.float32(0.5), "b": (np.nan, np.int64(2))})
    {'a': 0.5, 'b': [None, 2]}
    """
    match value:
        case dict():
            return {str(k): jsonable(v) for k, v in value.items()}
        case list() | tuple():
            return [jsonable(v) for v in value]
        case np.ndarray():
            return jsonable(value.tolist())
        case np.generic():
            return jsonable(value.item())
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
    return str(value)


def job(function: Callable[P, R]) -> Callable[P, R]:
    """Make `function` a job: its keyword-only options are checked against their annotations at every call.

    Raises OptionError with one sentence that names the option, what was given and what would be right.

    >>> @job
    ... def half(data: float, *, share: Annotated[float, Gt(0), Lt(1)] = 0.5) -> float:
    ...     return data * share
    >>> half(3, share=2)
    Traceback (most recent call last):
    latentspace.errors.OptionError: share must be a number above 0 and below 1, not 2.
    """

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        annotations = options(function)
        _known(function, kwargs)
        for name in annotations.keys() & kwargs.keys():
            kwargs[name] = check(name, annotations[name], kwargs[name])
        return function(*args, **kwargs)

    return checked


def run(name: str, /, *args: Any, **given: Any) -> Any:
    """Call the job `name`; raises OptionError with the nearest right name where there is none."""
    return find("jobs", name)(*args, **given)


@cache
def options(function: Callable[..., Any]) -> dict[str, Any]:
    """The job's options (its keyword-only parameters) and their annotations."""
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return {p.name: hints[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY}


def _known(function: Callable[..., Any], given: Iterable[str]) -> None:
    known = inspect.signature(function).parameters
    for name in given:
        if name not in known:
            raise OptionError(f"{function.__name__} has no option {name!r}{nearest(name, known)}.")


@cache
def _adapter(annotation: Any) -> Any:
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))


def check(name: str, annotation: Any, value: Any) -> Any:
    """`value` as its annotation wants it (text from a command line becomes a number), or OptionError."""
    value = value.item() if isinstance(value, np.generic) else value
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as failure:
        near = nearest(value, choices(annotation)) if isinstance(value, str) else ""
        raise OptionError(f"{name} must be {allowed(annotation)}, not {value!r}{near}.") from failure


def choices(annotation: Any) -> list[str]:
    """The words that may be given: those of every Literal within."""
    if get_origin(annotation) is Literal:
        return [str(a) for a in get_args(annotation)]
    return [word for part in get_args(annotation) for word in choices(part)]


def leaves(annotation: Any) -> list[Any]:
    """The plain types within an annotation."""
    if get_origin(annotation) is Annotated:
        return leaves(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [leaf for part in get_args(annotation) for leaf in leaves(part)]
    return [annotation]


def descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """What the numpydoc section "Parameters" of the job's docstring says of each parameter."""
    found: dict[str, list[str]] = {}
    _, _, section = (inspect.getdoc(function) or "").partition("Parameters\n----------\n")
    for line in section.split("\n"):
        if line and not line.startswith(" "):
            found[line.split(" : ")[0]] = words = []
        elif line:
            words.append(line.strip())
        else:
            break
    return {name: " ".join(words) for name, words in found.items()}


def allowed(annotation: Any) -> str:
    """What an option accepts, in words.

    >>> allowed(Literal["auto"] | Annotated[int, Ge(1)])
    "'auto' or a whole number of at least 1"
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [words for mark in parts[1:] for words in _bounds(mark)]
        return f"{allowed(parts[0])} {' and '.join(bounds)}".rstrip()
    if origin in (Union, types.UnionType):
        return " or ".join(allowed(p) for p in parts if p is not type(None))
    if origin is Literal:
        return " or ".join(repr(p) for p in parts)
    if origin is tuple:
        return "names"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a word", Path: "a path"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(mark: Any) -> list[str]:
    match mark:
        case Gt(gt=low):
            return [f"above {low}"]
        case Ge(ge=low):
            return [f"of at least {low}"]
        case Lt(lt=high):
            return [f"below {high}"]
        case Le(le=high):
            return [f"up to {high}"]
    return []


def _one_is_many(value: Any) -> Any:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return (str(value),)
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(str(v) if isinstance(v, int | np.integer) else v for v in value)
    return value


#: one name or several
Names = Annotated[tuple[str, ...], BeforeValidator(_one_is_many)]


def opened(space: Space | str | Path, to: str | None = None) -> Space:
    """The space itself, read from its folder where a path is given; `to` is what its decoder is needed for.

    Raises SpaceError where a decoder is needed and there is none.
    """
    space = space if isinstance(space, Space) else load(space)
    if to is not None:
        space.needs_decoder(to)
    return space


def preview(ids: Iterable[Any], rows: Iterable[Any], most: int = 10) -> Iterable[tuple[Any, Any]]:
    """The first few (id, row) pairs, to be shown."""
    return islice(zip(ids, rows, strict=True), most)
