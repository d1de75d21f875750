"""How well pairs are told: ROC curves, and by how many pairs learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from latentspace.plots_marks import PALE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

#: each curve has a colour and a dash of its own, so that they can be told apart in grey
LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#777777", ":"))


def roc_curves(
    curves: dict[str, tuple[tuple[Array, Array], float]],
    note: str = "",
    learning: Array | None = None,
    onwards: Array | None = None,
) -> Figure:
    """ROC curves: name → ((false-match rates, true-match rates), area). Beside them, where it is given, the area by
    the number of pairs: `learning` (3, s) of numbers, areas and standard errors, and `onwards` (4, t) of numbers,
    extrapolated areas, and their lower and upper ends."""
    figure = new_figure(5.6 if learning is None else 10.6, 5.4)
    axes, *beside = figure.subplots(1, 1 if learning is None else 2, squeeze=False)[0]
    axes.plot([0, 1], [0, 1], color="#CCCCCC", linewidth=0.8)
    for (name, ((false, true), value)), (colour, dash) in zip(curves.items(), LOOKS, strict=False):
        axes.step(false, true, dash, where="post", color=colour, label=f"{name}: {value:.3f}")
    axes.set_xlabel("different pairs called the same (false-match rate)")
    axes.set_ylabel("the same pairs found (1 - false non-match rate)")
    axes.legend(title="area under the curve", frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_aspect("equal")
    if learning is not None:
        _show_learning(beside[0], learning, onwards)
    figure.supxlabel(note, fontsize=8, color="#555555")
    return figure


def _show_learning(axes: Any, learning: Array, onwards: Array | None) -> None:
    numbers, areas, errors = learning
    if onwards is not None:
        axes.fill_between(onwards[0], onwards[2], onwards[3], color=PALE, linewidth=0)
        axes.plot(onwards[0], onwards[1], ":", color="#555555", label="extrapolated, 95 % range")
    axes.errorbar(
        numbers, areas, 2 * errors, fmt="o-", color=LOOKS[0][0], label="measured, ± 2 standard errors"
    )
    axes.set_xscale("log")
    axes.set_xticks(numbers, [f"{n:,.0f}" for n in numbers])
    axes.minorticks_off()
    axes.set_xlabel("pairs learnt from")
    axes.set_ylabel("area under the ROC curve of held-out pairs")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
