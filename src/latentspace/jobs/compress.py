"""Data as a file of few bytes: bit for bit, within a bound, or as latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le

from latentspace.errors import OptionError
from latentspace.jobs.base import Progress, Result, job, opened

if TYPE_CHECKING:
    from latentspace.archive.bounds import Bounds

__all__ = ["compress"]


@job
def compress(
    data: Any,
    out: str | Path,
    *,
    max_error: str | float | dict[str, Any] | None = None,
    quality: Annotated[float, Gt(0), Le(100)] | None = None,
    space: Any = None,
    refer: bool = False,
    lossless: bool = False,
    level: Literal["fast", "default", "max"] = "default",
    seed: Annotated[int, Ge(0)] = 0,
    progress: Progress | None = None,
) -> Result:
    """Store data in a file of few bytes that holds everything needed to get them back.

    Nothing is lost unless max_error or quality say so. Each part is stored in the smallest of several ways: what
    learns from these data, zstd, xz, pcodec, and within a bound SZ3 where it is installed.

    Parameters
    ----------
    data
        A table, arrays (.npy, .npz) or a folder of pictures; in Python also a frame, an array or named arrays.
    out
        The file to write, ending in .lsz.
    max_error
        How far a number may come back from what it was: 0.01, or 1% of its column's range, or for each column,
        as in "price=0.5,area=1%,*=1e-3"; it holds for every number. Text is kept as it is.
    quality
        Store the items' latents only, so finely that this signal-to-noise ratio (dB) is reached; needs a space.
    space
        A space fitted on such data, or the folder that holds one; for quality.
    refer
        With quality: leave the network out and refer to the space, which is then needed to read the file.
    lossless
        Bit for bit; so it is if neither max_error nor quality is given.
    level
        How hard to try: fast learns nothing, max learns more and takes longer.
    seed
        Everything random comes from it.
    progress
        Called with what is going on and the share done.
    """
    _check_options(max_error, quality, space, refer, lossless)
    tell = progress or (lambda words, share: None)
    if quality is not None:
        from latentspace.jobs._compress_quality import compress_items

        return compress_items(opened(space, "store latents"), data, Path(out), quality, refer, seed, tell)
    from latentspace.archive.contents import content_of
    from latentspace.archive.writing import write
    from latentspace.jobs import _compress_words as words
    from latentspace.jobs._compress_draw import figures

    bounds = _bounds(max_error)
    _check_out(Path(out), data)
    content = content_of(data)
    written = write(content, Path(out), bounds=bounds, level=level, seed=seed, tell=tell)
    return Result(
        summary="\n".join(words.summary(content, written)),
        tables=words.tables(content, written),
        figures=figures(content, written),
        files=[written.path],
        data=words.data(content, written),
        value=words.opened(written.path),
    )


def _check_options(max_error: Any, quality: Any, space: Any, refer: bool, lossless: bool) -> None:
    """Raise OptionError where options do not go together."""
    if (lossless, max_error is not None, quality is not None).count(True) > 1:
        raise OptionError("Of lossless, max_error and quality only one can be asked for.")
    if quality is not None and space is None:
        raise OptionError(
            "quality stores latents: it needs a space fitted on such data, as in --space NAME.space."
        )
    if quality is None and (space is not None or refer):
        name = "refer" if refer else "space"
        raise OptionError(f"{name} goes with quality: bit for bit or within a bound a file needs no space.")


def _bounds(max_error: Any) -> Bounds | None:
    from latentspace.archive.bounds import Bounds

    return None if max_error is None else Bounds(max_error)


def _check_out(out: Path, data: Any) -> None:
    """Raise OptionError where the file would take the place of the data, or cannot be an archive."""
    from latentspace.archive.container import check_path

    check_path(out)
    if isinstance(data, (str, Path)) and out.exists() and Path(data).exists() and out.samefile(data):
        raise OptionError(f"{out} is the data itself: choose another name.")
