"""WAV files as series of samples."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from latentspace.data._recordings import from_list
from latentspace.data._windows import Recording
from latentspace.errors import DataError


def from_wav(
    paths: Sequence[Path], names: Sequence[str], strict: bool
) -> tuple[Recording, list[tuple[str, str]]]:
    """The recording of WAV files, one a series, as shares of full scale; and (name, reason) of those skipped.

    Files of another rate or number of channels than the first are skipped.
    """
    read: dict[str, NDArray[np.float32]] = {}
    skipped: list[tuple[str, str]] = []
    kind: tuple[int, int] | None = None
    for path, name in zip(paths, names, strict=True):
        try:
            samples, rate = read_wav(path)
            kind = kind or (rate, samples.shape[1])
            if kind != (rate, samples.shape[1]):
                own = f"{samples.shape[1]} channels at {rate} Hz"
                raise DataError(f"it has {own}, the first sound {kind[1]} at {kind[0]} Hz")
        except DataError as error:
            if strict or len(paths) == 1:
                raise DataError(f"The sound {name!r} cannot be read: {error}.") from error
            skipped.append((name, str(error)))
        else:
            read[name] = samples
    if kind is None:
        raise DataError(f"None of the {len(paths)} sounds can be read; {skipped[0][0]!r}: {skipped[0][1]}.")
    mono = kind[1] == 1
    series = [samples[:, 0] if mono else samples for samples in read.values()]
    return from_list(series, list(read), float(kind[0])), skipped


def read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    """(T, channels) of an uncompressed WAV file between −1 and 1, and its rate in Hz.

    Raises DataError with the bare reason.
    """
    try:
        with wave.open(str(path), "rb") as sound:
            width, channels, rate = sound.getsampwidth(), sound.getnchannels(), sound.getframerate()
            data = sound.readframes(sound.getnframes())
    except wave.Error as error:
        raise DataError(f"it is no uncompressed (PCM) WAV file ({error})") from error
    except EOFError as error:
        raise DataError("it is empty or cut off") from error
    except OSError as error:
        raise DataError(error.strerror or str(error)) from error
    data = data[: len(data) - len(data) % (width * channels)]
    if not data:
        raise DataError("it holds no samples")
    return _scaled(data, width).reshape(-1, channels), rate


def _scaled(data: bytes, width: int) -> NDArray[np.float32]:
    """PCM of 1 to 4 bytes a sample as shares of full scale."""
    if width == 1:
        return np.asarray((np.frombuffer(data, np.uint8) - np.float32(128)) / 128)
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = padded.tobytes(), 4
    whole = np.frombuffer(data, f"<i{width}")
    return np.asarray(whole / 2.0 ** (8 * width - 1), np.float32)
