"""From data to a space: an encoder and a decoder, every item's latents, and what they are worth."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from latentspace.data._holdout import hold_out
from latentspace.data._windows import Windows
from latentspace.data.base import Items, Modality
from latentspace.errors import DataError, OptionError
from latentspace.jobs._anomaly_measures import add_anomaly_figures
from latentspace.jobs._card import card
from latentspace.jobs._chosen_model import check_fits, chosen_model, classes_of
from latentspace.jobs._compress_measures import add_storing_figures
from latentspace.jobs._denoise_measures import add_noise_figures
from latentspace.jobs._dial_words import add_dial_figures
from latentspace.jobs._label_measures import add_label_figures
from latentspace.jobs._map_items import ENOUGH
from latentspace.jobs._map_measures import add_map_figures
from latentspace.jobs._measures import MAX_REFERENCE, MAX_VALUES, measure, room_for
from latentspace.jobs._memory import give_back_memory
from latentspace.jobs._neighbour_measures import add_neighbour_figures
from latentspace.jobs._parts import Sample
from latentspace.jobs._sample_measures import add_sample_figures
from latentspace.jobs.base import Names, Progress, job, jsonable, run
from latentspace.rivals.pca import PCA
from latentspace.space.files import check_free
from latentspace.space.folder import Space
from latentspace.space.postgres import Store
from latentspace.space.stored import in_store, rehearse

if TYPE_CHECKING:
    from latentspace.models.anomaly import Scorer
    from latentspace.models.density import Density
    from latentspace.models.map import MapHead

__all__ = ["fit"]

#: held-out items that the space keeps to be shown in its report
MAX_EXAMPLES = 12
#: items that calibrate the scorer, as long as a tenth of the items is enough for it
ENOUGH_CALIBRATION = 1000
#: values of the training items that PCA is fitted on at most: 256 MB
MAX_RIVAL = 2**26


@job
def fit(
    data: Any,
    out: str | Path | None = None,
    *,
    latent_dim: Literal["auto"] | Annotated[int, Ge(1)] = "auto",
    model: Literal["autoencoder", "variational", "ijepa"] = "autoencoder",
    network: Any = "auto",
    corruption: Literal["gaussian", "masking", "swap", "salt-and-pepper", "grey"] | None = None,
    strength: Annotated[float, Ge(0)] = 0.3,
    beta: Annotated[float, Ge(0)] = 1.0,
    modality: str | Modality = "auto",
    labels: Names = (),
    id_column: str | None = None,
    size: Annotated[int, Ge(4)] | None = None,
    window: Annotated[int, Ge(4)] | None = None,
    hop: Annotated[int, Ge(1)] | None = None,
    epochs: Literal["auto"] | Annotated[int, Ge(1)] = "auto",
    minutes: Annotated[float, Gt(0)] | None = None,
    held_out: Annotated[float, Ge(0), Le(0.5)] = 0.1,
    seed: Annotated[int, Ge(0)] = 0,
    keep_items: bool = True,
    strict: bool = False,
    report: bool = True,
    overwrite: bool = False,
    store: str | None = None,
    progress: Progress | None = None,
) -> Space:
    """Learn a latent space from data, measure it on items held out, and save it.

    Parameters
    ----------
    data
        A table, folder of pictures, recording or array: a path, or an object in memory.
    out
        The space to write. Left out: NAME.space in the working folder for a path, nothing for data in memory.
    latent_dim
        How many numbers each item becomes.
    model
        Plain autoencoder; variational (latents with a spread, close to a normal distribution); or ijepa, for
        pictures, which predicts representations of what is hidden instead of pixels, and has no decoder.
    network
        Which network: the name of one, or a pair of torch modules (encoder, decoder).
    corruption
        Damage the items in training, so that the network learns to mend them (autoencoder only).
    strength
        How much damage: noise on data of variance 1, or the share of the values.
    beta
        Weight of the spread's price (variational only).
    modality
        What the data are: table, image, signal or vectors.
    labels
        Columns to keep out of training, used only to colour and to measure.
    id_column
        The column that names the items.
    size
        Pictures: the height and width to work at.
    window
        Signals: samples in a window.
    hop
        Signals: samples from one window to the next.
    epochs
        Passes over the training items at most.
    minutes
        Time for training at most.
    held_out
        Share of the items kept from training, to measure on.
    seed
        Everything random comes from it.
    keep_items
        Keep up to 2,048 training items in the space, to tell odd ones by (`anomalies` needs them), and a table's
        columns, to search by.
    strict
        Stop at the first part of the data that cannot be read, instead of leaving it out.
    report
        Write report.html into the space.
    overwrite
        Replace a space of that name.
    store
        Where the items go that a team shares: a PostgreSQL database with pgvector, postgresql://user@host/database.
    progress
        Called with what is going on and the share done.
    """
    settings = {
        k: v
        for k, v in locals().items()
        if k not in ("data", "out", "report", "overwrite", "store", "progress")
    }
    place = _destination(data, out, overwrite)
    kept = _store(store, place)
    tell = progress or (lambda words, share: None)
    started = time.perf_counter()
    tell("reading", None)
    sort, items, what = _read(data, modality, labels, id_column, strict, size=size, window=window, hop=hop)
    check_fits(model, sort, what)
    if kept is not None:
        rehearse(kept, items, sort.told(items) if keep_items else None)
    train, held = hold_out(items, held_out, seed)
    fitted = chosen_model(model, latent_dim, network, epochs, minutes, seed, corruption, strength, beta)
    tell(_first_words(model, latent_dim), None)
    learnt = sort.take(items, train)
    fitted.fit_items(sort, learnt, progress=tell, y=classes_of(learnt) if model == "ijepa" else None)
    del learnt
    with warnings.catch_warnings():
        # What only a held-out item holds (a rare category) is measured as a gap, and no mistake of the user's.
        warnings.simplefilter("ignore", UserWarning)
        tell("measuring", None)
        figures, evidence = _measured(fitted, items, train, held, seed)
        give_back_memory()
        tell("learning what is odd", None)
        scorer = _scorer(fitted, items, train, held, seed) if keep_items else None
        tell("encoding", None)
        latents = _encoded(fitted, items, scorer)
        give_back_memory()
        tell("drawing the map", None)
        placing = _placing(latents[train], seed, tell)
        give_back_memory()
        tell("learning where the items lie", None)
        density = _density(latents[train], seed)
    space = Space(
        model=fitted,
        ids=items.ids,
        latents=latents,
        labels=items.labels,
        held_out=np.isin(np.arange(len(items)), held),
        card=card(data, what, _about(fitted, items), items.skipped, settings),
        figures=figures,
        evidence=evidence,
        scorer=scorer,
        map=placing,
        density=density,
        columns=sort.told(items) if keep_items else None,
    )
    tell("measuring each job", None)
    _measure_jobs(space, items, train, held, seed, keep_items)
    space.card["made"] = _made(fitted, time.perf_counter() - started)
    del items
    give_back_memory()
    if place is not None:
        space.save(place, overwrite=overwrite, store=kept)
        if report:
            tell("writing the report", None)
            run("report", space, out=place / "report.html")
    return space if kept is None else in_store(space, kept)


def _measure_jobs(
    space: Space, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int, keep_items: bool
) -> None:
    """Put what each job is worth on held-out items into the space's figures, a section of the report each."""
    for add in (add_anomaly_figures, add_noise_figures, add_storing_figures, add_sample_figures):
        add(space, items, train, held, seed)
        give_back_memory()
    add_map_figures(space, items, held, seed)
    give_back_memory()
    add_neighbour_figures(space, items, train, held, seed, keep_items)
    add_label_figures(space, items, train, held, seed)
    add_dial_figures(space, len(train))


def _destination(data: Any, out: str | Path | None, overwrite: bool) -> Path | None:
    """Where the space will go, known to be free before any work is done."""
    if out is None and not isinstance(data, str | Path):
        return None
    place = Path(out) if out is not None else Path(Path(data).resolve().name.split(".")[0] or "latent")
    place = place if place.suffix == ".space" else place.with_name(place.name + ".space")
    check_free(place, overwrite=overwrite)
    return place


def _store(url: str | None, place: Path | None) -> Store | None:
    """A store that can be written to, known before any work is done."""
    if url is None:
        return None
    if place is None:
        raise OptionError("store keeps the items; the rest of the space needs a folder: say where (out).")
    return Store.new(url, place.stem)


def _read(
    data: Any,
    modality: str | Modality,
    labels: tuple[str, ...],
    id_column: str | None,
    strict: bool,
    **kind: Any,
) -> tuple[Modality, Items, str]:
    """(unfitted modality, items, one line that says what they are)."""
    from latentspace.data.sources import describe_source, read_items

    given = {name: value for name, value in kind.items() if value is not None}
    sort, items = read_items(data, modality, labels=labels, id_column=id_column, strict=strict, **given)
    if len(items) < 2:
        raise DataError(f"{items.source} holds {len(items)} item; a latent space needs at least 2.")
    return sort, items, describe_source(sort, items)


def _first_words(model: str, latent_dim: Any) -> str:
    if model == "ijepa":
        return "making encoders and predictor"
    return "choosing the latent size" if latent_dim == "auto" else "starting at PCA"


def _made(fitted: Any, seconds: float) -> str:
    kind = fitted.network_.kind
    return f"A {kind} network of {fitted.n_parameters_:,} parameters, made and measured in {seconds:.0f} s."


def _about(fitted: Any, items: Items) -> list[str]:
    return list(dict.fromkeys([*fitted.modality_.describe(), *items.notes]))


def _encoded(fitted: Any, items: Items, scorer: Scorer | None) -> NDArray[np.float32]:
    """(n, k) latents of all items, a bounded number at a time; the scorer will know the items again."""
    step = max(1, MAX_VALUES // 16 // int(np.prod(fitted.modality_.shape)))
    parts = []
    for start in range(0, len(items), step):
        part = fitted.modality_.take(items, np.arange(start, min(start + step, len(items))))
        x, _ = fitted.modality_.transform(part)
        parts.append(fitted.encode(x))
        if scorer is not None:
            scorer.remember(x)
    return np.concatenate(parts).astype(np.float32, copy=False)


def _scorer(
    fitted: Any, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> Scorer | None:
    """What tells odd items, calibrated on the held-out ones and, where they are few, on some that it does not learn
    from; None where there are too few items."""
    from latentspace.models.anomaly import SAMPLE, SAMPLE_VALUES, Scorer

    if not len(held):
        return None
    rows = np.random.default_rng(seed).permutation(train)
    extra = (
        0
        if isinstance(items.values, Windows)
        else min(len(items) // 10, max(0, ENOUGH_CALIBRATION - len(held)))
    )
    most = max(ENOUGH_CALIBRATION, min(SAMPLE, SAMPLE_VALUES // int(np.prod(fitted.modality_.shape))))
    learnt = Sample.of(fitted.modality_, items, rows[extra : extra + most])
    rest = Sample.of(fitted.modality_, items, np.concatenate([held, rows[:extra]])[:most])
    return Scorer.fit(learnt.x, learnt.observed, rest.x, rest.observed, seed)


def _placing(latents: NDArray[np.float32], seed: int, tell: Progress) -> MapHead | None:
    """What places items on the map; None where there are too few to draw one."""
    from latentspace.models.map import MapHead

    if len(latents) < ENOUGH:
        return None
    return MapHead.fit(latents, seed=seed, tell=lambda share: tell("drawing the map", share))


def _density(latents: NDArray[np.float32], seed: int) -> Density | None:
    """How densely the items lie in Z; None where there are too few to say."""
    from latentspace.models.density import Density

    return Density.fit(latents, seed) if len(latents) >= ENOUGH else None


def _measured(
    fitted: Any, items: Items, train: NDArray[np.intp], held: NDArray[np.intp], seed: int
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(figures, evidence) on the held-out items, beside PCA fitted on the training items."""
    rng = np.random.default_rng(seed)
    shape = fitted.modality_.shape
    enough = max(1, MAX_RIVAL // int(np.prod(shape)))
    seen = Sample.of(fitted.modality_, items, rng.permutation(train)[:enough])
    pca = PCA(seed).fit(seen.x, fitted.latent_dim_)
    room = room_for(shape, MAX_REFERENCE)
    # a copy, so that the rest is let go
    reference = Sample(seen.x[:room].copy(), None, {name: y[:room] for name, y in seen.labels.items()})
    del seen
    unseen = Sample.of(fitted.modality_, items, rng.permutation(held)[: room_for(shape)])
    figures = measure(fitted, pca, unseen, reference, seed)
    figures |= _training(fitted)
    if fitted.history_.kept_start:
        figures["notes"].append(
            "Training did not beat its start beyond chance, so the start was kept: this space is PCA's."
        )
    return jsonable(figures), _evidence(pca, unseen)


def _training(fitted: Any) -> dict[str, Any]:
    history, judges = fitted.history_, fitted.objective_.judges
    losses = {
        "epochs": [list(epoch) for epoch in history.epochs],
        "best_epoch": history.best_epoch,
        "start_loss": history.start_loss,
        "kept_start": history.kept_start,
    }
    return {
        "training": {"stopped": history.stopped, **(losses if judges else {"dials": history.dials})},
        "latent_sizes": fitted.latent_sizes_,
        "intrinsic_dim": fitted.intrinsic_dim_,
    }


def _evidence(pca: PCA, unseen: Sample) -> dict[str, NDArray[Any]]:
    """What the report needs later: the rival, and a few held-out items."""
    evidence: dict[str, NDArray[Any]] = {f"pca.{name}": a for name, a in pca.arrays().items()}
    evidence["examples.x"] = unseen.x[:MAX_EXAMPLES]
    if unseen.observed is not None:
        evidence["examples.observed"] = unseen.observed[:MAX_EXAMPLES].astype(np.uint8)
    return evidence
