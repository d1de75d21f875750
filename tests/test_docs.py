"""What README and docs say is true: their code runs, prints what they say, and the code they name is there."""

import contextlib
import importlib
import inspect
import io
import math
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from latentspace import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
FENCE = re.compile(r'^```(python|bash)(?: title="src/latentspace/([^"]+)")?\n(.*?)^```$', re.M | re.S)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
NAMED = re.compile(r"`((?:\w+/)*\w+\.py): ([\w.]+)`(?:, `([^`]+)`)?")


def name(page: Path) -> str:
    return page.stem


def says(page: Path, line: int, source: str, printed: str) -> None:
    """Compare what a block printed with the comments behind its `print` calls, decimals within 15 %."""
    said = re.findall(r"^print\(.*\)  +# (.+)$", source, re.M)
    if not said:
        return
    got = printed.splitlines()
    assert len(said) == len(got), f"{page.name}:{line} prints {len(got)} lines, its comments say {len(said)}"
    for one, other in zip(said, got, strict=True):
        assert alike(one, other), f"{page.name}:{line} says {one!r} and prints {other!r}"


def alike(said: str, got: str) -> bool:
    """The same words and whole numbers; decimals within 15 % or 0.03."""
    if NUMBER.sub("#", said).split() != NUMBER.sub("#", got).split():
        return False
    for one, other in zip(NUMBER.findall(said), NUMBER.findall(got), strict=True):
        tolerance = {"rel_tol": 0.15, "abs_tol": 0.03 if float(other.replace(",", "")) > 0.3 else 0}
        exact = "." not in one
        if one != other if exact else not math.isclose(float(one), float(other), **tolerance):
            return False
    return True


def test_alike_tells_what_is_said_from_what_is_not():
    assert alike("10-NN 0.95, linear 0.94", "10-NN 0.93, linear  0.95")
    assert not alike("10-NN 0.95", "10-NN 0.85")
    assert not alike("(1797, 2)", "(1797, 3)")
    assert not alike("0.0195", "0.0250")
    assert not alike("True", "False")


def overlay(member: str, source: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put `source` where a user is told to put it, ``<open folder>/<member>.py``, for the length of a test."""
    file = folder / member
    file.parent.mkdir(exist_ok=True)
    file.write_text(source, encoding="utf-8")
    package = importlib.import_module(f"latentspace.{file.parent.name}")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(file.parent)])
    monkeypatch.delitem(sys.modules, f"latentspace.{file.parent.name}.{file.stem}", raising=False)


@pytest.fixture
def modules():
    """Modules imported by a page are forgotten after it."""
    before = set(sys.modules)
    yield
    for added in {m for m in sys.modules if m.startswith("latentspace.")} - before:
        parent, _, child = added.rpartition(".")
        if parent in sys.modules and not hasattr(sys.modules[added], "__spec__"):
            continue
        origin = getattr(sys.modules[added].__spec__, "origin", "") or ""
        if not origin.startswith(str(ROOT)):
            del sys.modules[added]
            vars(sys.modules[parent]).pop(child, None)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_blocks_run_and_print_what_they_say(page, tmp_path, monkeypatch, modules, capsys):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    namespace = {"__name__": page.stem}
    for block in FENCE.finditer(text):
        language, member, source = block.groups()
        line = text.count("\n", 0, block.start()) + 1
        if member:
            overlay(member, source, tmp_path, monkeypatch)
        elif language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile("\n" * line + source, str(page), "exec"), namespace)
            says(page, line, source, out.getvalue())
        else:
            for words in (shlex.split(c, comments=True) for c in source.splitlines()):
                if words[:1] == ["latentspace"]:
                    assert cli.main(words[1:]) == 0, f"{page.name}:{line} {words}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_that_is_named_is_there(page):
    for file, member, line in NAMED.findall(page.read_text(encoding="utf-8")):
        found = importlib.import_module("latentspace." + file.removesuffix(".py").replace("/", "."))
        for part in member.split("."):
            found = getattr(found, part)
        assert not line or line in inspect.getsource(found), f"{file}: {member} has no line {line!r}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        file, _, heading = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), f"{page.name} links to {target}, which is not there"
        if heading:
            titles = re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.M)
            slugs = [re.sub(r"[^\w\s-]", "", t).strip().lower().replace(" ", "-") for t in titles]
            assert heading in slugs, f"{page.name} links to {target}; {there.name} has {slugs}"


@pytest.mark.parametrize("picture", sorted(ROOT.glob("docs/pictures/*.png")), ids=name)
def test_pictures_are_small_and_used(picture):
    assert picture.stat().st_size < 60_000
    assert any(f"pictures/{picture.name}" in page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize(
    "script",
    [pytest.param(e, marks=pytest.mark.slow if e.stem == "demo" else ()) for e in EXAMPLES],
    ids=lambda e: e.stem,
)
def test_examples_run(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script)])
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()


def test_penguins_says_what_is_missing_without_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="latentspace\\[demo\\]"):
        runpy.run_path(str(ROOT / "examples" / "penguins.py"), run_name="__main__")


@pytest.mark.slow
def test_pictures_are_what_the_script_draws(tmp_path):
    subprocess.run([sys.executable, ROOT / "docs" / "make_pictures.py", tmp_path], check=True)
    drawn = sorted(p.name for p in tmp_path.glob("*.png"))
    assert drawn == sorted(p.name for p in ROOT.glob("docs/pictures/*.png"))
