"""What the report of pairs says of itself: do its ranges hold what is true? No data are needed.

    python benchmarks/pair_report.py [--only more wrong chains] [--seeds 0 1 2 ...]

"more": generated items of 8 kinds, which 4, 6 or 10 of 24 axes tell, the others varying three times as much; m pairs,
half of them the same. What does the report say that 100 more, or as many again, would gain, and what do they gain on
pairs of new items (the same way learnt from six other samples of pairs each)?

"wrong": the same with 6 ("easy") or 4 ("hard") axes, and the digits of scikit-learn; of m answers a share is turned
round. What share does the report say, how often is the true one in its range, how many of the ten most doubtful
answers were turned round, and what would confident learning (Northcutt et al. 2021), counting pairs that are at least
as surely of the other sort as those of that sort are on average, make of it?

"chains": 200 and 640 answers about 700 digits as `pairs ask` asks, in 8 rounds; how many contradict each other, and
how many pairs are wrong where what follows from them is learnt from, too: by two answers, by any number, as decided?
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

from latentspace.models.pair_curve import law_of, learning_curve
from latentspace.models.pair_metric import area, learn
from latentspace.models.pair_noise import noise_of

SHARES = (0.0, 0.05, 0.1, 0.2)


def generated(axes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(items (3000, 24), kinds (3000,))."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 8, 3000)
    middles = rng.normal(0, 1.6, (8, axes))
    x = np.concatenate(
        [middles[y] + rng.normal(size=(3000, axes)), 3 * rng.normal(size=(3000, 24 - axes))], axis=1
    )
    return x @ np.linalg.qr(rng.normal(size=(24, 24)))[0], y


def drawn(y: np.ndarray, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows (m, 2), same (m,)), half of them the same."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(y), (30 * m, 2))
    rows = rows[rows[:, 0] != rows[:, 1]]
    same = y[rows[:, 0]] == y[rows[:, 1]]
    chosen = np.concatenate([np.flatnonzero(same)[: m // 2], np.flatnonzero(~same)[: m - m // 2]])
    chosen = rng.permutation(chosen)
    return rows[chosen], same[chosen]


def more(seed: int) -> Iterator[dict[str, Any]]:
    from latentspace.models.pair_metric import _apply, _smoothed
    from latentspace.models.pair_rules import learnt_map

    x, y = generated((4, 6, 10)[seed % 3], seed)
    old, new = x[:1500], x[1500:]
    rows_new, same_new = drawn(y[1500:], 6000, 99)
    for m in (100, 200, 400, 1000):
        rows, same = drawn(y[:1500], m, 10 + seed)
        metric = learn({"latents": old}, rows, same, seed)
        curve = learning_curve({"latents": old}, rows, same, metric, seed)
        law, (way, smoothing) = law_of(curve), metric.tried

        def true(n: int, way: Any = way, smoothing: Any = smoothing) -> float:
            areas = []
            for sample in range(6):
                middle, change = learnt_map(old, *drawn(y[:1500], n, 1000 + sample), way)
                pile, at = (_apply(part, middle, change, way.sphere, way.unit) for part in (old, new))
                ends = _smoothed(at, pile, smoothing, way.unit)[rows_new]
                areas.append(area(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), same_new))
            return float(np.mean(areas))

        start = true(m)
        for name, n in (("100 more", 100), ("twice", m)):
            gain = true(m + n) - start
            said, low, high = law.gain(m, n) if law else (np.nan,) * 3
            inside = low - 0.0005 <= gain <= high + 0.0005
            yield {
                "pairs": m,
                "more": name,
                "says": said,
                "low": low,
                "high": high,
                "true": gain,
                "inside": inside,
            }


def wrong(seed: int) -> Iterator[dict[str, Any]]:
    for name in ("digits", "easy", "hard"):
        x, y = (
            load_digits(return_X_y=True) if name == "digits" else generated(6 if name == "easy" else 4, seed)
        )
        for m in (200, 600, 2000):
            for share in SHARES:
                rows, same = drawn(y, m, seed)
                turned = np.random.default_rng(seed + 77).random(m) < share
                distances = learn({"latents": x}, rows, same ^ turned, seed).held_out
                known = np.isfinite(distances)
                distances, said, turned = distances[known], (same ^ turned)[known], turned[known]
                found = noise_of(distances, said)
                true = turned.mean()
                yield {
                    "set": name,
                    "answers": m,
                    "turned round": share,
                    "true": true,
                    "says": found.share,
                    "low": found.low,
                    "high": found.high,
                    "inside": found.low - 0.001 <= true <= found.high + 0.001,
                    "of ten": 10 * turned[np.argsort(-found.wrong)[:10]].mean(),
                    "confident learning": confident(distances, said),
                }


def confident(distances: np.ndarray, said: np.ndarray) -> float:
    """The share of answers off the diagonal of the confident joint."""
    from sklearn.linear_model import LogisticRegression

    chance = LogisticRegression().fit(distances[:, None], said).predict_proba(distances[:, None])[:, 1]
    alike, apart = chance >= chance[said].mean(), 1 - chance >= (1 - chance[~said]).mean()
    return float(((alike & ~said).sum() + (apart & said).sum()) / max(1, alike.sum() + apart.sum()))


def chains(seed: int) -> Iterator[dict[str, Any]]:
    from latentspace.jobs._answered_pairs import FOLLOWING
    from latentspace.models.asking import ask
    from latentspace.models.pair_noise import longest_chain
    from latentspace.space.answers import Answer, following, implied

    x, y = load_digits(return_X_y=True)
    x, y = x[:700], y[:700]
    for m, share in itertools.product((200, 640), SHARES):
        rng = np.random.default_rng(seed)
        answers: list[Answer] = []
        for batch in range(8):
            said = implied(answers)

            def known(a: int, b: int, said: Any = said) -> bool:
                return said.known(str(a), str(b)) is not None

            for a, b in ask(x.astype("float32"), m // 8, known, seed + 100 * batch).tolist():
                answers.append(Answer(str(a), str(b), bool((y[a] == y[b]) ^ (rng.random() < share))))
        said = implied(answers)
        kept = {(int(one.a), int(one.b)): one.same for one in answers if said.known(one.a, one.b) is one.same}

        def follow(
            longest: int | None, answers: Any = answers, kept: Any = kept
        ) -> dict[tuple[int, int], bool]:
            found = itertools.islice(following(answers, longest), FOLLOWING * len(kept))
            return kept | {(int(a), int(b)): True for a, b in found}

        new = np.random.default_rng(9).integers(0, 700, (20_000, 2))
        new = new[new[:, 0] != new[:, 1]]
        ways = {"answers": kept, "chains of two": follow(2), "all chains": follow(None), "as decided": kept}
        for name, found in ways.items():
            rows, same = np.array(list(found), np.intp), np.array(list(found.values()), bool)
            metric = learn({"values": x}, rows, same, seed)
            if name == "answers":
                ways["as decided"] = follow(longest_chain(metric.held_out, same))
            ends = metric.transform({"values": x})[new]
            yield {
                "answers": m,
                "turned round": share,
                "learnt from": name,
                "pairs": len(rows),
                "contradictions": len(said.conflicts),
                "wrong pairs": float((same != (y[rows[:, 0]] == y[rows[:, 1]])).mean()),
                "says": metric.after,
                "true": area(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), y[new[:, 0]] == y[new[:, 1]]),
            }


PARTS = {
    "more": (more, ["pairs", "more"]),
    "wrong": (wrong, ["set", "answers", "turned round"]),
    "chains": (chains, ["answers", "turned round", "learnt from"]),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(6)))
    options = parser.parse_args()
    pd.set_option("display.width", 200, "display.max_columns", None, "display.max_rows", None)
    for name in options.only:
        measure, by = PARTS[name]
        rows = pd.DataFrame([row for seed in options.seeds for row in measure(seed)])
        means = rows.groupby(by, sort=False).mean(numeric_only=False).astype(float)
        print(f"\n{name}, means of {len(options.seeds)} seeds\n{means.round(4)}", flush=True)
