"""What a space holds."""

from __future__ import annotations

from pathlib import Path

from latentspace.jobs._parts import part_word
from latentspace.jobs._tables import tables
from latentspace.jobs._verdict import count
from latentspace.jobs.base import Result, job, opened
from latentspace.space.folder import Space

__all__ = ["info"]


@job
def info(space: Space | str | Path) -> Result:
    """Say what a space was fitted on, how, and how good it was on held-out items.

    Parameters
    ----------
    space
        A space, or the folder that holds one.
    """
    space = opened(space)
    data = space.card["data"]
    lines = [
        f"{data['what']}, {count(space.latent_dim, 'latent')} each.",
        *data["about"],
        space.card["made"],
        *(
            [f"Items were added or removed since: it holds {len(space):,} now."]
            if "changed" in space.card
            else []
        ),
        space.index.describe(),
        *(f"Left out: {name}: {reason}." for name, reason in data["skipped"][:10]),
        *space.figures["notes"],
        *space.figures["verdict"],
    ]
    return Result(
        summary="\n".join(dict.fromkeys(lines)),
        tables=tables(space.figures, part_word(space.modality)),
        files=[p for p in (space.path, space.path / "report.html") if p.exists()] if space.path else [],
        data={"card": space.card, "figures": space.figures, "recall": space.index.recall},
    )
