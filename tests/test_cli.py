"""The command line: quick to answer, one sentence for every mistake, and one command a job file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latentspace.jobs
from latentspace.cli import build, main
from latentspace.folder import names

COMMAND = [sys.executable, "-c", "import sys; from latentspace.cli import main; sys.exit(main())"]


def said(capsys: pytest.CaptureFixture[str], *tokens: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command."""
    code = main(tokens)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, and a space fitted on it by the command."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(100, 4))
    rows = ["a,b,c,d,kind", *(",".join(f"{v:.4f}" for v in row) + f",{row[0] > 0}" for row in x)]
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    tokens = ["fit", str(folder / "rows.csv"), str(folder / "rows.space"), "--labels", "kind"]
    assert main([*tokens, "--epochs", "2", "--latent-dim", "2"]) == 0
    return folder


def test_help_is_quick_and_light() -> None:
    heavy = "torch pandas polars sklearn pyarrow matplotlib PIL narwhals"
    code = (
        "import sys; from latentspace.cli import main; main(['--help']); main(['fit', '--help']);"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_every_job_is_a_command_with_its_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--help")
    assert code == 0 and all(name in out for name in names("jobs"))
    code, out, _ = said(capsys, "fit", "--help")
    assert code == 0 and "How many numbers each item becomes" in out and "--json" in out
    assert "of at least 1" in " ".join(out.split()) and "progress" not in out


def test_a_new_job_file_is_a_new_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "add_up.py").write_text(
        "from typing import Annotated\n"
        "from annotated_types import Gt\n"
        "from latentspace.jobs.base import Result, job\n"
        "__all__ = ['add_up']\n"
        "@job\n"
        "def add_up(numbers: str, *, times: Annotated[int, Gt(0)] = 1) -> Result:\n"
        "    '''Add numbers up.\n\n    Parameters\n    ----------\n    numbers\n        With plus signs.\n"
        "    times\n        How often.\n    '''\n"
        "    total = times * sum(map(int, numbers.split('+')))\n"
        "    return Result(f'{total}', data={'total': total})\n"
    )
    monkeypatch.setattr(latentspace.jobs, "__path__", [*latentspace.jobs.__path__, str(tmp_path)])
    assert said(capsys, "add-up", "1+2", "--times", "3")[:2] == (0, "9\n")
    assert json.loads(said(capsys, "add-up", "1+2", "--json")[1]) == {"summary": "3", "files": [], "total": 3}
    code, _, err = said(capsys, "add-up", "1+2", "--times", "0")
    assert (code, err) == (2, "times must be a whole number above 0, not '0'.\n")
    assert "Add numbers up." in said(capsys, "--help")[1]


MISTAKES = [
    (["fot", "x"], 'Unknown command "fot". Did you mean "fit"?'),
    (["fit"], 'Command "fit" parameter --data requires an argument.'),
    (
        ["fit", "rows.csv", "--latent-dim", "none"],
        "latent_dim must be 'auto' or a whole number of at least 1",
    ),
    (["fit", "rows.csv", "--latent-dim", "0"], "latent_dim must be"),
    (["fit", "rows.csv", "--held-out", "0.9"], "held_out must be a number of at least 0 and up to 0.5, not"),
    (["fit", "rows.csv", "--model", "autoencodr"], "(did you mean 'autoencoder'?)"),
    (["fit", "rows.csv", "--colour", "red"], "--colour"),
    (["fit", "rows.csv"], "rows.space is there already: choose another name, or overwrite it."),
    (["fit", "absent.csv"], "absent.csv"),
    (["fit", "rows.csv", "new.space", "--labels", "knd"], "(did you mean 'kind'?)"),
    (["info", "absent.space"], "There is no space at absent.space."),
    (["info", "rows.csv"], "rows.csv is a file; a space is a folder"),
    (["encode", "rows.space", "rows.csv", "out.xlsx"], "out.xlsx has '.xlsx'"),
    (["encode", "rows.space", "absent.csv"], "absent.csv"),
    (["encode", "rows.space", "rows.csv", "nowhere/out.csv"], "There is no folder nowhere"),
    (["decode", "rows.space", "rows.csv"], "rows.csv has no column z0: latents of this space are z0 to z1."),
    (["report", "rows.space", "--out", "report.pdf"], "a report is a .html file"),
]


@pytest.mark.parametrize(("tokens", "sentence"), MISTAKES, ids=[" ".join(t) for t, _ in MISTAKES])
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    spaces: Path,
    tokens: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(spaces)
    before = sorted(p.name for p in spaces.rglob("*"))
    code, out, err = said(capsys, *tokens)
    assert code == 2 and out == "" and sentence in err
    assert err.count("\n") == 1 and "Traceback" not in err
    assert sorted(p.name for p in spaces.rglob("*")) == before


def test_debug_shows_where(spaces: Path) -> None:
    with pytest.raises(ValueError, match="There is no space"):
        main(["info", str(spaces / "absent.space"), "--debug"])


def test_an_unexpected_error_is_one_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("latentspace.cli.build", broken)
    code, _, err = said(capsys, "info", "x")
    assert (code, err) == (
        2,
        "Unexpected ZeroDivisionError: division by zero (run again with --debug to see where).\n",
    )


def test_an_interrupt_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("latentspace.cli.build", stopped)
    assert said(capsys, "info", "x") == (130, "", "Stopped.\n")


@pytest.mark.slow
def test_a_broken_pipe_is_silent(spaces: Path) -> None:
    code = (
        "import sys, os; r, w = os.pipe(); os.close(r); os.dup2(w, 1);"
        f"from latentspace.cli import main; sys.exit(main(['info', {str(spaces / 'rows.space')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (141, "")


def test_json_is_one_object(spaces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "info", str(spaces / "rows.space"), "--json")
    found = json.loads(out)
    assert code == 0 and err == ""
    assert found["figures"]["latent_dim"] == 2 and found["card"]["versions"]["latentspace"]
    assert "NaN" not in out


def test_fit_prints_what_it_found_and_where_it_is(spaces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "info", str(spaces / "rows.space"))
    assert code == 0 and "Measured on" in out and "variance explained" in out
    assert f"Written: {spaces / 'rows.space' / 'report.html'}" in out


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy"])
def test_latents_travel_through_files(spaces: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    latents, back = spaces / f"z.{kind}", spaces / f"back.{kind}"
    assert main(["encode", str(spaces / "rows.space"), str(spaces / "rows.csv"), str(latents)]) == 0
    assert main(["decode", str(spaces / "rows.space"), str(latents), str(back)]) == 0
    assert latents.exists() and back.exists()
    latents.unlink(), back.unlink()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version")[1].strip() == latentspace.__version__


def test_names_with_underscores_become_dashes() -> None:
    assert "--latent-dim" in str(build(["fit"])["fit"].assemble_argument_collection())
