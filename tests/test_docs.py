"""What README and docs say is true: their code runs, prints what they say, and the code they name is there."""

import contextlib
import importlib
import inspect
import io
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from latentspace import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
EXAMPLES = sorted(ROOT.glob("examples/*.py"))
FENCE = re.compile(r'^```(python|bash)(?: title="src/latentspace/([^"]+)")?\n(.*?)^```$', re.M | re.S)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
NAMED = re.compile(r"`((?:\w+/)*\w+\.py): ([\w.]+)`(?:, `([^`]+)`)?")


#: pages whose code talks to PostgreSQL, at what the environment says
NEED_A_SERVER = {"teams"}
QUICK = {"index", "format", "limits", "CONTRIBUTING"}


def name(page: Path) -> str:
    return page.stem


def slow_unless(quick: bool) -> list[pytest.MarkDecorator]:
    return [] if quick else [pytest.mark.slow]


def says(page: Path, line: int, source: str, printed: str) -> None:
    """Compare what a block printed with the comments behind its `print` calls."""
    said = re.findall(r"^print\(.*\)  +# (.+)$", source, re.M)
    if not said:
        return
    got = printed.splitlines()
    assert len(said) == len(got), f"{page.name}:{line} prints {len(got)} lines, its comments say {len(said)}"
    for one, other in zip(said, got, strict=True):
        assert alike(one, other), f"{page.name}:{line} says {one!r} and prints {other!r}"


def alike(said: str, got: str) -> bool:
    """The same words and whole numbers; decimals within 15 %, those from 0.3 to 1 within 0.04."""
    if NUMBER.sub("#", said).split() != NUMBER.sub("#", got).split():
        return False
    return all(map(close, NUMBER.findall(said), NUMBER.findall(got)))


def close(said: str, got: str) -> bool:
    if "." not in said:
        return said == got
    one, other = float(said.replace(",", "")), float(got.replace(",", ""))
    return abs(one - other) <= (0.04 if 0.3 < abs(one) <= 1 else 0.15 * abs(one))


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


@pytest.fixture
def modules(tmp_path):
    """Members that a page adds are forgotten after it."""
    yield
    for added, module in [*sys.modules.items()]:
        if added.startswith("latentspace.") and str(tmp_path) in str(module.__file__):
            parent, _, child = added.rpartition(".")
            del sys.modules[added]
            delattr(sys.modules[parent], child)


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=slow_unless(p.stem in QUICK), id=p.stem) for p in PAGES]
)
def test_code_blocks_run_and_print_what_they_say(page, tmp_path, monkeypatch, modules, capsys, request):
    monkeypatch.chdir(tmp_path)
    if page.stem in NEED_A_SERVER:
        for name, value in psycopg.conninfo.conninfo_to_dict(request.getfixturevalue("postgres")).items():
            monkeypatch.setenv(f"PG{'DATABASE' if name == 'dbname' else name.upper()}", str(value))
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


@pytest.mark.parametrize("script", [pytest.param(e, marks=pytest.mark.slow, id=e.stem) for e in EXAMPLES])
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
