"""What a map is written as: a table, a page, pictures, or a folder for TensorBoard's projector."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentspace.data.image import Image
from latentspace.errors import OptionError
from latentspace.jobs._map_items import Mapped
from latentspace.jobs._output import write_table
from latentspace.space.atomic import whole
from latentspace.space.files import arrow_column

Array = NDArray[Any]

PICTURES, TABLES, PAGE, PROJECTOR = (".png", ".svg", ".pdf"), (".csv", ".parquet"), ".html", ".projector"
KINDS = (*PICTURES, PAGE, *TABLES, PROJECTOR)
#: values (items x columns) that a page holds at most, and pixels of the pictures that it chooses from
MAX_PAGE_VALUES, MAX_PAGE_PIXELS = 4_000_000, 2**26
#: pixels along a side of the projector's sheet of thumbnails, and of a thumbnail
MAX_SHEET, MAX_THUMBNAIL = 8192, 64
#: the name of the column that tells a selection
SELECTED = "selected"
#: the files of an export for the projector
_TENSORS, _METADATA, _SPRITE, _CONFIG = "tensors.tsv", "metadata.tsv", "sprite.png", "projector_config.pbtxt"
_EXPORT = (_TENSORS, _METADATA, _SPRITE, _CONFIG)


def write_map(
    mapped: Mapped,
    out: Path,
    figures: dict[str, Callable[[], Any]],
    colour: str | None,
    chosen: NDArray[np.bool_] | None,
) -> list[Path]:
    """Write a map as the name of `out` says, whole or not at all; a folder gets every figure."""
    suffix = out.suffix.lower()
    if suffix in TABLES:
        return write_table(frame(mapped, chosen), out)
    if suffix in PICTURES:
        with whole(out) as beside:
            next(iter(figures.values()))().savefig(beside, format=suffix[1:])
        return [out]
    if suffix == PAGE:
        with whole(out) as beside:
            beside.write_text(_page(mapped, colour, chosen), encoding="utf-8")
        return [out]
    check_empty(out)
    with whole(out) as beside:
        beside.mkdir()
        if suffix == PROJECTOR:
            _write_projector(mapped, beside, chosen)
        else:
            for name, draw in figures.items():
                draw().savefig(beside / f"{name.replace(' ', '-')}.png", format="png")
    return [out]


def check_empty(out: Path) -> None:
    """Raise OptionError where a folder is to be written and something is there: an empty folder may be, and an older
    export for the projector."""
    if out.suffix.lower() not in ("", PROJECTOR) or not out.exists():
        return
    older = set(_EXPORT) if out.suffix.lower() == PROJECTOR else set()
    if not out.is_dir() or {file.name for file in out.iterdir()} - older:
        raise OptionError(f"{out} is there already and is not an empty folder: choose another name.")


def frame(mapped: Mapped, chosen: NDArray[np.bool_] | None = None) -> Any:
    """All items as a pyarrow table: id, x, y (, z), how far each place can be trusted (, selected), labels."""
    import pyarrow as pa

    columns: dict[str, Array] = {"id": mapped.ids}
    columns |= dict(zip("xyz", mapped.points.T, strict=False))
    columns |= mapped.measures
    if chosen is not None:
        columns[SELECTED] = chosen
    for name, values in mapped.labels.items():
        columns[name if name not in columns else f"{name} (label)"] = values
    return pa.table({name: arrow_column(values) for name, values in columns.items()})


# the page


def _page(mapped: Mapped, colour: str | None, chosen: NDArray[np.bool_] | None) -> str:
    from latentspace.jobs._map_page import Colour, map_page

    columns = {} if colour is None else {colour: mapped.values(colour)}
    columns |= {} if chosen is None else {SELECTED: np.where(chosen, "yes", "no")}
    columns |= {**mapped.told, **{name: v for name, v in mapped.measures.items() if name not in mapped.told}}
    kept = dict(list(columns.items())[: max(4, MAX_PAGE_VALUES // len(mapped))])
    notes = list(mapped.items.notes) if mapped.items is not None else []
    if len(kept) < len(columns):
        notes.append(f"The first {len(kept)} of {len(columns)} columns are here; there is no room for more.")
    about = mapped.space.card.get("data", {}).get("what", "a space")
    return map_page(
        mapped.points,
        mapped.ids,
        title=f"Map of {about if mapped.items is None else mapped.items.source}",
        colours=[Colour(name, values) for name, values in kept.items()],
        hover=list(kept.items()),
        pictures=_page_pictures(mapped),
        backdrop=mapped.backdrop,
        notes=notes,
    )


def _page_pictures(mapped: Mapped) -> Array | None:
    if not isinstance(mapped.space.modality, Image) or not mapped.can_be_seen:
        return None
    room = max(1, MAX_PAGE_PIXELS // int(np.prod(mapped.space.modality.shape)))
    return mapped.pictures(np.arange(min(len(mapped), room)))


# TensorBoard's projector


def _write_projector(mapped: Mapped, folder: Path, chosen: NDArray[np.bool_] | None) -> None:
    """tensors.tsv, metadata.tsv, sprite.png of pictures, and projector_config.pbtxt, which names them."""
    with (folder / _TENSORS).open("w", encoding="ascii") as file:
        np.savetxt(file, mapped.latents, fmt="%.6g", delimiter="\t")
    columns = {"id": mapped.ids} | ({} if chosen is None else {SELECTED: np.where(chosen, "yes", "no")})
    columns |= {name: values for name, values in mapped.told.items() if name not in columns}
    _write_metadata({**columns, **mapped.measures}, folder / _METADATA)
    lines = ['tensor_name: "latents"', f'tensor_path: "{_TENSORS}"', f'metadata_path: "{_METADATA}"']
    if isinstance(mapped.space.modality, Image) and mapped.can_be_seen:
        width, height = _write_sprite(mapped, folder / _SPRITE)
        sides = f"single_image_dim: {width}\n    single_image_dim: {height}"
        lines.append(f'sprite {{\n    image_path: "{_SPRITE}"\n    {sides}\n  }}')
    text = "embeddings {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
    (folder / _CONFIG).write_text(text, encoding="ascii")


def _write_metadata(columns: dict[str, Array], file: Path) -> None:
    """A row an item under a row of names; no cell holds a tab or a line break."""
    rows = [[str(name) for name in columns], *zip(*(_cells(v) for v in columns.values()), strict=True)]
    text = "".join("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows)
    file.write_text(text, encoding="utf-8")


def _cells(values: Array) -> list[str]:
    if values.dtype.kind == "f":
        return [f"{v:.6g}" for v in values.tolist()]
    return [str(v) for v in values.tolist()]


def _write_sprite(mapped: Mapped, file: Path) -> tuple[int, int]:
    """All pictures on one sheet, row by row, as many across as down (the projector counts on it); (width, height) of
    one of them."""
    from PIL import Image as Pillow

    _, high, wide = mapped.space.modality.shape
    side = int(np.ceil(np.sqrt(len(mapped))))
    scale = min(1.0, min(MAX_THUMBNAIL, MAX_SHEET // side) / max(high, wide))
    width, height = max(1, int(wide * scale)), max(1, int(high * scale))
    grey = mapped.space.modality.shape[0] != 3
    sheet = Pillow.new("L" if grey else "RGB", (side * width, side * height), "white")
    step = 512
    for start in range(0, len(mapped), step):
        rows = np.arange(start, min(start + step, len(mapped)))
        for i, picture in zip(rows.tolist(), mapped.pictures(rows), strict=True):
            shown = Pillow.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
            if scale < 1:
                shown = shown.resize((width, height), Pillow.Resampling.BOX)
            sheet.paste(shown, ((i % side) * width, (i // side) * height))
    sheet.save(file, format="PNG")
    return width, height
