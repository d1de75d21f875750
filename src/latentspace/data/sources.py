"""From a path or an object to items: what kind of data it is, found out or said."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data._arrays import choose
from latentspace.data._clock import find_time, mostly_even, mostly_grows
from latentspace.data._picture_files import SUFFIXES, find_files
from latentspace.data._recordings import numbers_of
from latentspace.data._windows import window_labels
from latentspace.data.base import Items, Modality
from latentspace.data.files import FRAME_SUFFIXES, read_arrays, read_frame
from latentspace.data.vectors import looks_like_vectors
from latentspace.errors import DataError, OptionError, nearest
from latentspace.folder import find

__all__ = ["describe_source", "read_items", "refusals"]

#: Columns of a signal that are labels by their name.
LABELS = frozenset({"label", "labels", "is_anomaly", "anomaly", "anomalies"})
#: Windows (n, C, T) have at most this many channels, and are at least twice as long as they have channels.
CHANNELS = 16
#: Rows looked at to tell whether columns are numbers.
LOOK = 5000


@dataclass(frozen=True)
class Source:
    """What a path or an object turned out to hold, before it is known what kind of data that is.

    value : a path of pictures or sounds, a list, an array or a frame; the rest lay beside an array.
    """

    value: Any
    name: str
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    ids: NDArray[Any] | None = None
    lengths: NDArray[Any] | None = None
    columns: tuple[str, ...] = ()
    rate: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def frame(self) -> Any:
        """The value as a pyarrow table; None where it is no frame."""
        return _as_table(self.value)


def read_items(
    source: Any,
    modality: str | Modality = "auto",
    *,
    labels: Sequence[str] = (),
    id_column: str | None = None,
    strict: bool = False,
    **options: Any,
) -> tuple[Modality, Items]:
    """The modality of `source` and its items.

    source : a path to a file or folder, a data frame, an array, a mapping of arrays, or a list of paths.
    modality : its name, "auto" to find out, or a modality, fitted or not, that reads the source its own way.
    labels, id_column : kept out of training. strict : stop at a broken file. options : the modality's own.

    Raises DataError where the source cannot be read, OptionError where an option is unknown.

    >>> modality, items = read_items(np.zeros((5, 28, 28), np.uint8))
    >>> describe_source(modality, items)
    '5 pictures of 28 x 28 grey pixels in an array of 5 x 28 x 28'
    """
    opened = _opened(source)
    if isinstance(modality, Modality):
        if options:
            raise OptionError(f"The option {next(iter(options))!r} was settled when the modality was made.")
        member = modality
    else:
        kind = _detected(opened) if modality == "auto" else modality
        member = _constructed(kind, opened, labels, id_column, strict, options)
    items = _read(member, opened)
    return member, _labelled(items, member, opened, labels, id_column)


def describe_source(modality: Modality, items: Items) -> str:
    """What was read, in one line."""
    values = items.values
    match modality.name:
        case "image":
            _, height, width, channels = values.pixels.shape
            what = f"pictures of {height} x {width} {'grey' if channels == 1 else 'colour'} pixels"
        case "signal":
            channels = len(values.recording.channels)
            what = f"windows of {values.length} samples in {_count(channels, 'channel')}"
        case "vectors":
            what = f"vectors of {_count(values.shape[1], 'number')}"
        case "table":
            what = f"rows of {_count(values.shape[1], 'column')}"
        case name:
            what = f"items ({name})"
    if len(items) == 1:
        what = what.replace("s of", " of", 1)
    aside = f" (labels set aside: {', '.join(items.labels)})" if items.labels else ""
    return f"{len(items):,} {what} in {items.source}{aside}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# opening


def _opened(source: Any) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return _opened_path(Path(source))
    if isinstance(source, np.ndarray):
        size = f"an array of {' x '.join(map(str, source.shape))}" if source.ndim else "a single number"
        return Source(source, size)
    if isinstance(source, Mapping):
        return _opened_mapping(source)
    if isinstance(source, (list, tuple)):
        return _opened_list(list(source))
    library = type(source).__module__.partition(".")[0].replace("builtins", "")
    return Source(source, f"a {library} {type(source).__name__}".replace("  ", " "))


def _opened_path(path: Path) -> Source:
    if not path.exists():
        raise DataError(f"There is no file or folder {str(path)!r}.")
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if path.is_dir() or suffix in SUFFIXES or suffix == ".wav":
        return Source(path, path.name)
    if suffix in FRAME_SUFFIXES:
        return Source(read_frame(path), path.name)
    if suffix in (".npy", ".npz", ".idx") or "ubyte" in path.name:
        return _opened_arrays(read_arrays(path), path.name)
    try:
        return _opened_arrays(read_arrays(path), path.name)
    except DataError as error:
        known = ", ".join((*FRAME_SUFFIXES, ".npy", ".npz", ".wav", *sorted(SUFFIXES)))
        raise DataError(
            f"{path.name} cannot be read by its ending {path.suffix!r} (known: {known}), nor as arrays: "
            f"{str(error).rstrip('.')}."
        ) from error


def _opened_mapping(source: Mapping[str, Any]) -> Source:
    arrays = {str(key): np.asarray(value) for key, value in source.items()}
    if any(a.ndim > 1 for a in arrays.values()) or any(a.ndim == 0 for a in arrays.values()):
        return _opened_arrays(arrays, f"a mapping of {len(arrays)} arrays")
    import pyarrow as pa

    try:
        return Source(pa.table(dict(source)), f"a mapping of {len(arrays)} columns")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return _opened_arrays(arrays, f"a mapping of {len(arrays)} arrays")


def _opened_arrays(arrays: Mapping[str, NDArray[Any]], name: str) -> Source:
    choice = choose(arrays, name)
    value: Any = choice.items
    if choice.columns and value.ndim == 2 and choice.lengths is None and choice.rate is None:
        import pyarrow as pa

        value = pa.table(list(value.T), names=list(choice.columns))
    return Source(
        value, name, choice.labels, choice.ids, choice.lengths, choice.columns, choice.rate, choice.notes
    )


def _opened_list(source: list[Any]) -> Source:
    """A list of paths, rows or arrays; rows of one length are an array."""
    name = f"a list of {len(source)} entries"
    if not source:
        raise DataError("The list is empty: there is nothing to read.")
    if isinstance(source[0], (str, os.PathLike, Mapping)) or np.ndim(source[0]) > 1:
        return Source(source, name)
    try:
        return Source(np.asarray(source), name)
    except ValueError:
        return Source([np.asarray(part) for part in source], name)


# detecting


def refusals(source: Any) -> dict[str, str]:
    """For each kind of data, why `source` is not of it; "" for the kind that it is.

    >>> [kind for kind, reason in refusals(np.zeros((100, 3))).items() if not reason]
    ['table']
    """
    opened = source if isinstance(source, Source) else _opened(source)
    return {kind: refuses(opened) for kind, refuses in _RULES.items()}


def _detected(opened: Source) -> str:
    reasons = refusals(opened)
    kinds = [kind for kind, reason in reasons.items() if not reason]
    if kinds:
        return kinds[0]
    if isinstance(opened.value, Path):
        endings = ", ".join(sorted(SUFFIXES))
        raise DataError(f"The folder {opened.name!r} holds no picture ({endings}) and no sound (.wav).")
    why = "; ".join(f"{kind}: {reason}" for kind, reason in reasons.items())
    name = opened.name[0].upper() + opened.name[1:]
    raise DataError(f"{name} is no kind of data that is known ({why}); name its kind with --modality.")


def _not_pictures(source: Source) -> str:
    value = source.value
    if isinstance(value, Path):
        folder = value.is_dir() and (not _sounds(value) or len(find_files(value)) > len(_sounds(value)))
        there = find_files(value) if folder else value.suffix.lower() in SUFFIXES
        return "" if there else "no picture file is there"
    if isinstance(value, list):
        return "" if _is_list_of(value, SUFFIXES) or np.ndim(value[0]) in (2, 3) else "no list of pictures"
    if not isinstance(value, np.ndarray):
        return "no array of pixels"
    if value.ndim == 4 and {1, 3, 4} & {value.shape[1], value.shape[3]}:
        return ""
    if value.ndim == 3:
        return "its arrays are long and narrow like signals" if _like_windows(value) else ""
    return f"an array of {value.ndim} axes" if value.ndim != 4 else "no axis of 1, 3 or 4 channels"


def _not_signal(source: Source) -> str:
    value = source.value
    if isinstance(value, Path):
        folder = value.is_dir() and _sounds(value) and _not_pictures(source)
        there = folder or value.suffix.lower() == ".wav"
        return "" if there else "no sound file is there"
    if isinstance(value, list):
        series = np.ndim(value[0]) == 1 and not isinstance(value[0], Mapping)
        return "" if _is_list_of(value, {".wav"}) or series else "no list of series"
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            return "no numbers"
        said = value.ndim == 2 and (source.lengths is not None or source.rate is not None)
        if value.ndim == 1 or said or (value.ndim == 3 and _like_windows(value)):
            return ""
        return f"an array of {value.ndim} axes without a rate or lengths of series"
    table = source.frame
    return "no frame" if table is None else _not_sampled(table)


def _not_vectors(source: Source) -> str:
    value = source.value
    if not isinstance(value, np.ndarray) or value.ndim != 2 or not _not_signal(source):
        return "no array of two axes"
    return "" if looks_like_vectors(value) else "its columns are not alike"


def _not_table(source: Source) -> str:
    value = source.value
    if isinstance(value, list) and isinstance(value[0], Mapping):
        return ""
    if isinstance(value, np.ndarray):
        if value.ndim != 2:
            return f"an array of {value.ndim} axes"
        kinds = [kind for kind, no in (("signal", _not_signal), ("vectors", _not_vectors)) if not no(source)]
        return f"it is {kinds[0]}" if kinds else ""
    table = source.frame
    if table is None:
        return "no frame"
    return "" if _not_sampled(table) else "its numbers are sampled over time"


_RULES: dict[str, Callable[[Source], str]] = {
    "image": _not_pictures,
    "signal": _not_signal,
    "vectors": _not_vectors,
    "table": _not_table,
}


def _sounds(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix.lower() == ".wav"]


def _is_list_of(value: list[Any], suffixes: frozenset[str] | set[str]) -> bool:
    return all(isinstance(v, (str, os.PathLike)) and Path(v).suffix.lower() in suffixes for v in value)


def _like_windows(array: NDArray[Any]) -> bool:
    """Whether (n, a, b) is windows of few channels rather than pictures."""
    if array.dtype == np.uint8 and array.shape[2] in (3, 4):
        return False  # one picture in colour
    few, many = sorted(array.shape[1:])
    return few < 4 or (array.dtype.kind == "f" and few <= CHANNELS and many >= 2 * few)


def _not_sampled(table: Any) -> str:
    """Why a table is no recording; "" where one time column grows evenly and all else is numbers."""
    time = find_time(table)
    if time is None:
        return "no time column"
    if not mostly_grows(time.values):
        return f"the times of {time.name!r} do not grow"
    if not mostly_even(time.values):
        return f"the steps of {time.name!r} are those of events, not of samples"
    others = [name for name in table.column_names if name != time.name]
    mixed = [name for name in others if name not in LABELS and not _numbers_or_runs(table[name])]
    if mixed:
        return f"column {mixed[0]!r} is not numbers"
    return "" if others else "nothing beside its time"


def _numbers_or_runs(column: Any) -> bool:
    """Whether a column is numbers, or text that hardly changes from row to row (a name, a part)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    head = column.slice(0, LOOK)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return False
    if numbers_of(head) is not None or column.null_count == len(column):
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    codes = pc.dictionary_encode(head).combine_chunks().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return bool((np.diff(codes) != 0).sum() <= max(1, len(codes) // 100))


def _as_table(value: Any) -> Any:
    """A frame of any library as a pyarrow table; None where `value` is none."""
    if isinstance(value, (np.ndarray, Path, list)):
        return None
    import narwhals as nw

    try:
        frame = nw.from_native(value, eager_only=True)
    except (TypeError, ValueError):
        return None
    return frame.to_arrow().select(frame.columns)


# reading


def _constructed(
    kind: str,
    opened: Source,
    labels: Sequence[str],
    id_column: str | None,
    strict: bool,
    options: dict[str, Any],
) -> Modality:
    """An unfitted modality with those of the options that it has; raises OptionError at unknown ones."""
    member = find("data", kind)
    known = inspect.signature(member).parameters
    for name in options:
        if name not in known:
            raise OptionError(f"The modality {kind!r} has no option {name!r}{nearest(name, known)}.")
    table = opened.frame
    columns = [] if table is None else table.column_names
    aside = [name for name in labels if name not in opened.labels]
    if kind == "signal":
        aside += [name for name in columns if name in LABELS and name not in aside]
    given = {"labels": tuple(aside), "id_column": id_column, "strict": strict}
    modality: Modality = member(**{k: v for k, v in given.items() if k in known and v} | options)
    return modality


def _read(member: Modality, opened: Source) -> Items:
    if member.name != "signal" or not isinstance(opened.value, np.ndarray):
        return member.read(opened.value)
    return member.read(opened.value, lengths=opened.lengths, channels=opened.columns, rate=opened.rate)


def _labelled(
    items: Items, member: Modality, opened: Source, labels: Sequence[str], id_column: str | None
) -> Items:
    """The items with the name, the notes, the labels and the ids of their source."""
    beside = {key: _for_items(column, items, member) for key, column in opened.labels.items()}
    every = {**items.labels, **{key: column for key, column in beside.items() if column is not None}}
    for name in labels:
        if name not in every:
            raise DataError(f"There is no label {name!r} in {opened.name}{nearest(name, every)}.")
    notes = (*opened.notes, *items.notes)
    by_name = [name for name in items.labels if name in LABELS and name not in labels]
    if member.name == "signal" and by_name:
        notes += (f"Set aside as labels, by their name: {', '.join(by_name)}.",)
    ids = opened.ids if opened.ids is not None and len(opened.ids) == len(items) else items.ids
    if id_column is not None and id_column in every:
        ids = every.pop(id_column)
    return replace(items, labels=every, notes=notes, source=opened.name, ids=ids)


def _for_items(column: NDArray[Any], items: Items, member: Modality) -> NDArray[Any] | None:
    """A column beside the items, one entry an item; None where it does not fit."""
    if member.name != "signal":
        return column if len(column) == len(items) else None
    recording = items.values.recording
    if len(column) == len(recording.ends):
        return np.asarray(column[items.values.series])
    return window_labels(column, items.values) if len(column) == len(recording.samples) else None
