"""The interactive map page: the data that go in come out, nothing reaches outside, and the page does what it says."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentspace.jobs._map_page import ACROSS, MAX_PICTURES, Colour, map_page

HOSTILE = ["</script><b>x", "<!--<script>", "é\u2028\n\"'&amp;{{title}}", "\\u003c", "plain"]


class Elements(HTMLParser):
    """Tags as a browser sees them, and the text of the data element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text: dict[str, str] = {}
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        self.links += [value for name, value in given.items() if name in ("src", "href") and value]
        self._inside = given.get("id") or tag

    def handle_data(self, data: str) -> None:
        self.text[self._inside] = self.text.get(self._inside, "") + data


def content(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Elements(page).text["data"])
    return found


def unpacked(text: str, dtype: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), f"<{dtype}")


def read(page: str, name: str) -> np.ndarray[Any, Any]:
    """A column as the page's script reads it."""
    held = content(page)
    place = dict([*held["hover"], *held["colours"]])[name]
    column = held["columns"][place]
    values = unpacked(column["data"], column["type"])
    return np.array(column["levels"])[values] if column["kind"] == "category" else values


def some(n: int = 60, dimensions: int = 2, **more: Any) -> str:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(n, dimensions)) * 40 + 1000
    return map_page(points, np.arange(n), title="A map", **more)


# data


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("beside", [False, True])
def test_points_and_backdrop_come_back_on_one_scale(dimensions: int, beside: bool) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(500, dimensions)) * [3, 90, 20][:dimensions] + 7000
    backdrop = points[:200] + 250 if beside else None
    held = content(map_page(points, np.arange(500), title="t", backdrop=backdrop))
    every = np.concatenate([points, points[:0] if backdrop is None else backdrop])
    span = np.ptp(every, axis=0).max()
    shown = np.concatenate([unpacked(held[k], "f4").reshape(-1, dimensions) for k in ("points", "backdrop")])
    back = shown * span / 2 + (every.min(axis=0) + every.max(axis=0)) / 2
    assert len(shown) == len(every) and np.abs(shown).max() <= 1.0001
    assert np.abs(back - every).max() < 1e-3 * span


def test_points_that_are_all_one_or_none_at_all_make_a_page() -> None:
    one = content(map_page(np.full((4, 2), 3.0, np.float32), np.arange(4), title="t"))
    assert (unpacked(one["points"], "f4") == 0).all()
    empty = map_page(np.zeros((0, 2)), np.zeros(0, int), title="t", colours=[Colour("a", np.zeros(0))])
    assert content(empty)["ids"] == [] and "0 items" in empty


NUMBERS = {
    "small": np.arange(60) * 3,
    "negative": np.arange(60) - 30,
    "large": np.arange(60) * 1_000_000,
    "beyond 32 bits": 2**40 + np.arange(60),
    "float": np.linspace(-1, 1, 60),
    "gaps": np.where(np.arange(60) % 7 == 0, np.nan, np.linspace(0, 5, 60)),
    "nothing but gaps": np.full(60, np.nan),
    "far from 0": 1.7e9 + np.arange(60) * 0.25,
    "beyond single precision": np.linspace(0, 1e300, 60),
    "constant": np.full(60, 0.1),
    "half precision": np.linspace(0, 1, 60).astype(np.float16),
    "endless": np.where(np.arange(60) == 3, np.inf, np.arange(60.0)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_kept_to_a_millionth_of_their_span(name: str) -> None:
    values = NUMBERS[name].astype(float)
    back = read(some(hover=[(name, NUMBERS[name])]), name).astype(float)
    known = values[np.isfinite(values)]
    np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-6 * np.ptp(known) if len(known) else 0)
    assert len(known) == 0 or np.ptp(back[np.isfinite(back)]) == pytest.approx(np.ptp(known), rel=2e-6)


def test_times_are_kept_to_the_second_and_gaps_stay_gaps() -> None:
    when = np.datetime64("2021-03-01T12:34:56") + np.arange(60).astype("timedelta64[D]")
    when[5] = np.datetime64("NaT")
    page = some(colours=[Colour("when", when)])
    back = read(page, "when")
    assert content(page)["columns"][0]["kind"] == "time" and np.isnan(back[5])
    assert back[0] == 1614602096000 and (np.diff(back[6:]) == 86_400_000).all()


def test_texts_are_categories_commonest_first_and_gaps_last() -> None:
    texts = np.array(["b"] * 9 + ["a"] * 20 + [""] * 30 + ["c"])
    column = content(some(colours=[Colour("kind", texts)]))["columns"][0]
    assert column["levels"] == ["a", "b", "c", ""] and column["type"] == "u1"
    assert (read(some(colours=[Colour("kind", texts)]), "kind") == texts).all()


def test_few_whole_numbers_are_categories_in_order_and_many_a_scale() -> None:
    few = content(some(colours=[Colour("quality", np.arange(60) % 7 + 3)]))["columns"][0]
    assert (
        few["kind"] == "category" and few["ordered"] and few["levels"] == ["3", "4", "5", "6", "7", "8", "9"]
    )
    many = content(some(colours=[Colour("age", np.arange(60))]))["columns"][0]
    assert many["kind"] == "number"


def test_truth_and_mixed_values_are_told_as_texts() -> None:
    page = some(
        hover=[("yes", np.arange(60) < 5), ("mixed", np.array([None, float("nan"), 3, "x"] * 15, object))]
    )
    assert set(read(page, "yes")) == {"yes", "no"}
    assert read(page, "mixed")[:4].tolist() == ["", "", "3", "x"]


def test_a_free_text_with_many_levels_is_kept_whole() -> None:
    texts = np.array([f"text {i}" for i in range(70_000)])
    page = map_page(np.zeros((70_000, 2)), np.arange(70_000), title="t", colours=[Colour("note", texts)])
    assert content(page)["columns"][0]["type"] == "u4" and (read(page, "note") == texts).all()


def test_a_column_that_colours_and_is_told_is_written_once() -> None:
    values = np.linspace(0, 1, 60)
    held = content(some(colours=[Colour("a", values), Colour("b", values.copy())], hover=[("a", values)]))
    assert len(held["columns"]) == 1 and held["hover"] == [["a", 0]] and held["colours"][1] == ["b", 0]


def test_a_hundred_thousand_items_take_a_few_megabytes() -> None:
    rng = np.random.default_rng(0)
    n = 100_000
    colours = [Colour("x", rng.normal(size=n)), Colour("kind", rng.choice(["a", "b"], n))]
    page = map_page(rng.normal(size=(n, 2)), np.arange(n), title="t", colours=colours)
    assert len(page) < 3.5e6


# safety


def test_the_page_reaches_nothing_outside_itself() -> None:
    page = some(pictures=np.zeros((60, 8, 8), np.uint8), colours=[Colour("a", np.arange(60.0))])
    assert not re.search(r"https?://|//cdn|@import|\bfetch\(|XMLHttpRequest|WebSocket|import\(", page)
    assert Elements(page).links == [] and "default-src 'none'" in page
    assert "{{" not in page


def test_hostile_texts_stay_texts_everywhere() -> None:
    ids = np.array(HOSTILE)
    plain, page = (
        map_page(
            np.zeros((5, 2)),
            names,
            title=str(names[0]),
            colours=[Colour(str(names[1]), names)],
            hover=[(str(names[2]), names)],
            notes=names.tolist(),
        )
        for names in (np.array(list("abcde")), ids)
    )
    assert Elements(page).tags == Elements(plain).tags
    held = content(page)
    assert (
        held["ids"] == HOSTILE and held["colours"][0][0] == HOSTILE[1] and held["hover"][0][0] == HOSTILE[2]
    )
    assert sorted(held["columns"][0]["levels"]) == sorted(HOSTILE)
    assert "&lt;/script&gt;&lt;b&gt;x" in page and "<b>" not in page


def test_labels_names_and_a_text_for_those_who_do_not_see_it() -> None:
    page = some(1, notes=["Trustworthiness .97."])
    assert 'lang="en"' in page and 'aria-label="Map of 1 item"' in page and "shows 1 item," in page
    assert "<noscript>" in page and "<li>Trustworthiness .97.</li>" in page
    assert "axes mean nothing" in page and "prefers-color-scheme: dark" in page


# pictures


def cell(page: str, i: int) -> np.ndarray[Any, Any]:
    """The i-th picture on the sheets."""
    held = content(page)["pictures"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(held["sheets"][i // ACROSS**2]))))
    down, right = divmod(i % ACROSS**2, ACROSS)
    h, w = held["height"], held["width"]
    return sheet[down * h : (down + 1) * h, right * w : (right + 1) * w]


@pytest.mark.parametrize("shape", [(28, 28), (20, 32, 1), (9, 6, 3)])
def test_small_pictures_go_in_as_they_are(shape: tuple[int, ...]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (1030, *shape), dtype=np.uint8)
    page = map_page(np.zeros((1030, 2)), np.arange(1030), title="t", pictures=pictures)
    assert len(content(page)["pictures"]["sheets"]) == 2
    for i in (0, 33, 1023, 1024, 1029):
        assert (cell(page, i) == pictures[i].squeeze()).all()


def test_large_pictures_shrink_to_their_means() -> None:
    pictures = np.zeros((3, 128, 64, 3), np.uint8)
    pictures[1, :64, :, 0] = 200
    page = map_page(np.zeros((3, 2)), np.arange(3), title="t", pictures=pictures)
    assert cell(page, 1).shape == (32, 16, 3)
    assert (cell(page, 1)[:16, :, 0] == 200).all() and (cell(page, 1)[16:] == 0).all()


def test_more_pictures_than_a_page_holds_are_drawn_from_all_and_it_is_said() -> None:
    n = MAX_PICTURES + 500
    pictures = np.broadcast_to((np.arange(n) % 251).astype(np.uint8)[:, None, None], (n, 2, 2))
    page = map_page(np.zeros((n, 2)), np.arange(n), title="t", pictures=pictures)
    rows = unpacked(content(page)["pictures"]["rows"], "u4")
    assert len(np.unique(rows)) == MAX_PICTURES and rows.max() > MAX_PICTURES
    assert "Pictures of 10,000 of the 10,500 items" in page
    for i in (0, 5000, 9999):
        assert (cell(page, i) == rows[i] % 251).all()


def test_pictures_of_the_first_items_alone_are_theirs_and_it_is_said() -> None:
    page = some(pictures=np.zeros((20, 4, 4), np.uint8))
    assert unpacked(content(page)["pictures"]["rows"], "u4").tolist() == list(range(20))
    assert "Pictures of 20 of the 60 items" in page and "Pictures of" not in some(
        pictures=np.zeros((60, 4, 4), np.uint8)
    )


# what it does, in a browser

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
in_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium to open the page in")

#: frames do not come while a page is dumped, and there is no pointer to capture
BEFORE = """<script>
window.requestAnimationFrame = (f) => setTimeout(() => f(performance.now()), 16);
HTMLCanvasElement.prototype.setPointerCapture = () => {};
const failures = []; window.onerror = (what) => { failures.push(what); };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const fire = (kind, [x, y], more = {}) => canvas.dispatchEvent(new PointerEvent(kind,
  { clientX: x, clientY: y, pointerId: 1, bubbles: true, cancelable: true, ...more }));
const press = (key, on) => on.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const placeOf = (item) => [across(points.flat[2 * slotOf[item]]), down(points.flat[2 * slotOf[item] + 1])];
const at = (x, y) => [...ctx.getImageData(Math.round(x), Math.round(y), 1, 1).data].slice(0, 3);
</script>"""


def in_page(page: str, script: str, folder: Path) -> Any:
    """What `script` (the body of an async function) returns in the page, at 1,000 x 800 pixels."""
    body = (
        f"<script>(async () => {{ {script} }})().catch((e) => `${{e.stack}}`)"
        ".then((told) => { document.title = JSON.stringify(failures.length ? failures : told); });</script>"
    )
    first = page.index("<script>")
    file = folder / "page.html"
    file.write_text(
        page[:first] + BEFORE + page[first:].replace("</body>", f"{body}</body>"), encoding="utf-8"
    )
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={folder / 'browser'}", "--window-size=1000,800", "--virtual-time-budget=8000",
    ]  # fmt: skip
    told = subprocess.run(
        [CHROMIUM, *flags, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    title = re.search(r"<title>(.*?)</title>", told.stdout, re.DOTALL)
    assert title, told.stderr[-500:]
    return json.loads(unescape(title[1]))


def squares(dimensions: int = 2) -> str:
    """400 items in four squares, each a category; item 0 stands alone in the middle and has no value."""
    rng = np.random.default_rng(0)
    corner = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])[np.arange(400) % 4]
    points = np.pad(corner + rng.uniform(-0.5, 0.5, (400, 2)), [(0, 0), (0, dimensions - 2)])
    points[0] = 0
    kinds = np.array(["south-west", "north-west", "south-east", "north-east"])[np.arange(400) % 4]
    kinds[0] = ""
    amount = np.arange(400) / 8.0
    amount[1] = np.nan
    when = np.datetime64("2020-01-01") + np.arange(400).astype("timedelta64[D]")
    return map_page(
        points,
        np.array([f"id {i}" for i in range(400)]),
        title="Squares",
        colours=[Colour("where", kinds), Colour("amount", amount)],
        hover=[("where", kinds), ("amount", amount), ("when", when)],
        pictures=np.broadcast_to((np.arange(400) % 256).astype(np.uint8)[:, None, None], (400, 12, 12)),
        backdrop=points[:50] * 1.1,
    )


LASSO = """
const lassoAround = (left, top, right, bottom) => {
  fire("pointerdown", [left, top], { shiftKey: true });
  for (const p of [[right, top], [right, bottom], [left, bottom]]) fire("pointermove", p);
  fire("pointerup", [left, bottom]);
};
"""


@in_browser
def test_in_a_browser_items_are_told_found_selected_and_exported(tmp_path: Path) -> None:
    told = in_page(
        squares(),
        LASSO
        + """
        await wait(200);
        const said = {};
        fire("pointermove", placeOf(7)); said.hover = $("card").innerText;
        fire("pointerdown", placeOf(9)); fire("pointerup", placeOf(9)); said.clicked = $("item").innerText;
        const middle = [width / 2, height / 2];
        said.counts = [...document.querySelectorAll("#legend button")].map((b) => b.innerText.split("\\n").join(" "));
        lassoAround(0, 0, middle[0] - 5, middle[1] - 5); await wait(50);
        said.lasso = $("selection").innerText; said.exported = exported();
        said.grey = at(...placeOf(3)).join() === css(theme.faint).slice(4, -1) ? "grey" : at(...placeOf(3));
        said.own = css(paint[slotOf[5]]).slice(4, -1) === at(...placeOf(5)).join();
        press("Escape", document); said.cleared = [$("selection").innerText, $("export").disabled];
        document.querySelector("#legend button").click(); said.filtered = $("selection").innerText;
        lassoAround(0, 0, width - 1, height - 1); said.both = $("selection").innerText; clear();
        $("colour").selectedIndex = 1; $("colour").onchange(); said.scale = $("legend").innerText;
        $("find").value = "id 399"; $("search").requestSubmit(); await wait(400);
        said.found = [data.ids[points.item[pinned]], $("said").innerText, ...placeOf(399).map(Math.round)];
        said.middle = middle.map(Math.round);
        canvas.focus(); press("Enter", canvas); said.enter = $("said").innerText;
        $("find").value = "nobody"; $("search").requestSubmit(); said.lost = $("said").innerText;
        said.outside = performance.getEntriesByType("resource").filter((r) => !r.name.startsWith("data:")).length;
        return said;""",
        tmp_path,
    )
    assert told["hover"].split("\n") == [
        "id 7",
        "where",
        "north-east",
        "amount",
        "0.875",
        "when",
        "2020-01-08",
    ]
    assert told["clicked"].startswith("id 9\n")
    assert set(told["counts"]) == {
        "north-west 100", "south-east 100", "north-east 100", "south-west 99", "no value 1"
    }  # fmt: skip
    assert told["lasso"] == "100 of 400 items selected; the others are grey."
    assert told["exported"] == "".join(f"id {i}\n" for i in range(1, 400, 4))
    assert told["grey"] == "grey" and told["own"]
    assert told["cleared"] == ["No item is selected: draw a lasso.", True]
    assert told["filtered"] == told["both"] == "100 of 400 items selected; the others are grey."
    assert re.split(r"\n+", told["scale"]) == ["0", "49.88", "no value", "1"]
    assert told["found"] == ["id 399", "Found id 399.", *told["middle"]]
    assert told["enter"] == "id 399, where north-east, amount 49.875, when 2021-02-03"
    assert told["lost"] == "No id holds nobody."
    assert told["outside"] == 0


@in_browser
def test_in_a_browser_it_zooms_pans_pinches_and_draws_pictures(tmp_path: Path) -> None:
    told = in_page(
        squares(),
        """
        await wait(200);
        const said = {}, from = placeOf(7), zoom = () => view.k / whole;
        canvas.dispatchEvent(new WheelEvent("wheel",
          { clientX: from[0], clientY: from[1], deltaY: -400, cancelable: true }));
        said.wheel = zoom(); said.stays = placeOf(7).map((v, i) => Math.abs(v - from[i]));
        const before = placeOf(7);
        fire("pointerdown", [300, 300]); fire("pointermove", [340, 310]); fire("pointerup", [340, 310]);
        said.pan = placeOf(7).map((v, i) => v - before[i]);
        $("all").click(); await wait(400); said.all = zoom(); await wait(50); said.small = pictured.length;
        press("+", canvas); await wait(400); said.plus = zoom(); press("0", canvas); await wait(400);
        fire("pointerdown", [300, 400], { pointerId: 5 }); fire("pointerdown", [400, 400], { pointerId: 6 });
        fire("pointermove", [600, 400], { pointerId: 6 }); said.pinch = zoom();
        fire("pointerup", [300, 400], { pointerId: 5 }); fire("pointerup", [600, 400], { pointerId: 6 });
        const [x, y] = under(...placeOf(201));
        lookAt({ x, y, k: whole * 12 }); await wait(50);
        said.pictures = pictured.length; said.pixel = at(...placeOf(201));
        lookAt(wholeView()); always = true; await wait(50); said.always = pictured.length;
        const side = pictureSide(), spots = pictured.map((slot) => placeOf(points.item[slot]));
        said.overlap = spots.some(([x, y], i) => spots.slice(0, i).some(
          ([a, b]) => Math.abs(x - a) < side && Math.abs(y - b) < side));
        return said;""",
        tmp_path,
    )
    assert (
        told["wheel"] == pytest.approx(np.exp(0.8)) and max(told["stays"]) < 1.3
    )  # a wheel turns at whole pixels
    assert told["pan"] == pytest.approx([40, 10], abs=0.01)
    assert told["all"] == pytest.approx(1) and told["plus"] == pytest.approx(1.5)
    assert told["pinch"] == pytest.approx(3)
    assert told["small"] == 0 and told["pictures"] > 0 and told["pixel"] == [201] * 3
    assert told["always"] > 20 and not told["overlap"]


@in_browser
def test_in_a_browser_three_dimensions_turn(tmp_path: Path) -> None:
    told = in_page(
        squares(3),
        """
        await wait(200);
        const said = {}, length = (slot) => Math.hypot(...turned(slot)), turned = (slot) => [0, 3, 6].map((r) =>
          [0, 1, 2].reduce((sum, j) => sum + turn[r + j] * points.places[3 * slot + j], 0));
        const slot = slotOf[7], before = turned(slot);
        const far = Math.hypot(...points.places.slice(3 * slot, 3 * slot + 3));
        fire("pointerdown", [300, 300]); fire("pointermove", [360, 330]); fire("pointerup", [360, 330]);
        said.moved = Math.hypot(...turned(slot).map((v, i) => v - before[i])); said.length = length(slot) / far;
        said.seen = [points.flat[2 * slot] - turned(slot)[0], points.flat[2 * slot + 1] - turned(slot)[1]];
        said.order = points.sequence.every((s, i) => !i || points.depth[s] >= points.depth[points.sequence[i - 1]]);
        fire("pointermove", placeOf(7)); said.hover = $("card").innerText.slice(0, 4);
        return said;""",
        tmp_path,
    )
    assert told["moved"] > 0.1 and told["length"] == pytest.approx(1, abs=1e-5)
    assert told["seen"] == pytest.approx([0, 0], abs=1e-5) and told["order"]
    assert told["hover"] == "id 7"


@in_browser
def test_in_a_browser_hostile_and_empty_pages_open(tmp_path: Path) -> None:
    ids = np.array(HOSTILE)
    page = map_page(np.eye(5, 2), ids, title=HOSTILE[0], colours=[Colour(HOSTILE[1], ids)], notes=HOSTILE)
    told = in_page(
        page,
        'fire("pointermove", placeOf(0)); return [$("card").innerText, document.scripts.length];',
        tmp_path,
    )
    assert told[0].strip() == HOSTILE[0] and told[1] == 4
    for n, colours in ((0, []), (1, [Colour("a", np.array([np.nan]))])):
        page = map_page(np.zeros((n, 2)), np.arange(n), title="t", colours=colours)
        assert in_page(
            page, 'await wait(50); find("0"); return $("summary").innerText;', tmp_path
        ).startswith(f"{n} item")
