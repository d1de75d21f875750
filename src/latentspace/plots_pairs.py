"""How well pairs are told: ROC curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from latentspace.plots_marks import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: each curve has a colour and a dash of its own, so that they can be told apart in grey
LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#777777", ":"))


def roc_curves(curves: dict[str, tuple[tuple[NDArray[Any], NDArray[Any]], float]], note: str = "") -> Figure:
    """ROC curves: name → ((false-match rates, true-match rates), area)."""
    figure = new_figure(5.6, 5.4)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#CCCCCC", linewidth=0.8)
    for (name, ((false, true), value)), (colour, dash) in zip(curves.items(), LOOKS, strict=False):
        axes.step(false, true, dash, where="post", color=colour, label=f"{name}: {value:.3f}")
    axes.set_xlabel("different pairs called the same (false-match rate)")
    axes.set_ylabel("the same pairs found (1 - false non-match rate)")
    axes.legend(title="area under the curve", frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_aspect("equal")
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure
