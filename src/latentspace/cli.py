"""The command line: one command a job, made from the job's own signature and docstring."""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import App, CycloptsError, Parameter

from latentspace import __version__
from latentspace.errors import LatentspaceError
from latentspace.folder import find, names

if TYPE_CHECKING:
    from latentspace.jobs.base import Progress, Result


def main(tokens: Sequence[str] | None = None) -> int:
    """Run the command that `tokens` (by default the process's arguments) name; returns the exit code.

    0: done. 2: it cannot be done, said in one sentence on stderr. 130: stopped by the user.
    """
    tokens = list(sys.argv[1:] if tokens is None else tokens)
    try:
        with _plain_warnings():
            build(tokens)(tokens, exit_on_error=False, print_error=False)
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; Python's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except Exception as failure:
        if "--debug" in tokens:
            raise
        print(_sentence(failure), file=sys.stderr)
        return 2
    return 0


def build(tokens: Sequence[str] = ()) -> App:
    """The app with every job as a command; where `tokens` name one, only that one is imported."""
    app = App(
        name="latentspace",
        help="Learn an encoder and a decoder from unlabelled data, and put the latent space to work.",
        version=__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    known = names("jobs")
    for name in [tokens[0]] if tokens and tokens[0] in known else known:
        app.command(command(name), name=name.replace("_", "-"))
    return app


def command(name: str) -> Callable[..., None]:
    """The job `name` as a command: its parameters, and --json and --debug."""
    from latentspace.jobs.base import descriptions

    job = find("jobs", name)
    hints = get_type_hints(inspect.unwrap(job), include_extras=True)
    given = [p for p in inspect.signature(job).parameters.values() if not _is_call(hints[p.name])]
    flags = [_flag("json", "Print one JSON object."), _flag("debug", "Show where an error came from.")]

    def run(*args: Any, **options: Any) -> None:
        as_json, _ = options.pop("json", False), options.pop("debug", False)
        with _progress() as progress:
            if "progress" in hints:
                options["progress"] = progress
            made = job(*args, **options)
        show(_result(made), as_json)

    run.__name__, run.__doc__ = name, (inspect.getdoc(job) or "").split("\n\nParameters\n")[0]
    texts = descriptions(job)
    shown = [p.replace(annotation=_shown(hints[p.name], p.default, texts[p.name])) for p in given]
    parameters = shown + flags
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _flag(name: str, text: str) -> inspect.Parameter:
    kind = Annotated[bool, Parameter(help=text, negative=())]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)


def _is_call(annotation: Any) -> bool:
    """Whether a parameter takes a function, which a command line cannot give."""
    return any(get_origin(a) is Callable or a is Callable for a in (annotation, *get_args(annotation)))


def _shown(annotation: Any, default: Any, text: str) -> Any:
    """How the command line takes a parameter: as flags, names or one word, which the job itself checks."""
    if annotation is bool:
        return Annotated[bool, Parameter(help=text, negative=None if default else ())]
    if _is_names(annotation):
        return Annotated[tuple[str, ...], Parameter(help=text, negative=(), show_default=False)]
    plain = Parameter(help=_with_range(text, annotation), metavar=_metavar(annotation), converter=_as_given)
    return Annotated[Any, plain]


def _with_range(text: str, annotation: Any) -> str:
    from latentspace.jobs.base import allowed

    words = allowed(annotation)
    return f"{text.rstrip('.')}: {words}." if " of at least " in words or " above " in words else text


def _metavar(annotation: Any) -> str:
    from latentspace.jobs.base import choices, leaves

    number = ["NUMBER"] if {int, float} & set(leaves(annotation)) else []
    return "|".join(choices(annotation) + number) or "TEXT"


def _is_names(annotation: Any) -> bool:
    return any(get_origin(a) is tuple for a in (annotation, *get_args(annotation)))


def _as_given(kind: Any, tokens: Sequence[Any]) -> str:
    return str(tokens[0].value)


def _result(made: Any) -> Result:
    """A job's result; for a space, what is to say about it."""
    from latentspace.jobs.base import Result

    found: Result = made if isinstance(made, Result) else find("jobs", "info")(made)
    return found


def show(result: Result, as_json: bool = False) -> None:
    """Print a result on stdout: one JSON object, or its words, tables and files."""
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return
    from rich.console import Console

    # Piped into a file or a pager there is no width to fit in.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
    with console.capture() as text:
        console.print(result.summary, soft_wrap=True)
        for title, rows in result.tables.items():
            console.print(f"\n{title}", style="bold", soft_wrap=True)
            console.print(_table(rows))
        for file in result.files:
            console.print(f"Written: {file}", soft_wrap=True)
    print(text.get(), end="")


def _table(rows: Sequence[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(Text(str(name)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row.values()))
    return table


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A line on stderr that says what is going on, where stderr is a terminal, once there is something to say.

    A job that asks questions in the terminal says nothing, and has it to itself.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    line = bar.add_task("starting", total=None)

    def tell(words: str, share: float | None) -> None:
        bar.start()
        bar.update(line, description=words, completed=share or 0, total=None if share is None else 1)

    try:
        yield tell
    finally:
        bar.stop()


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as sentences on stderr, without the line of code they came from."""

    said: set[str] = set()

    def show_sentence(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in said:
            said.add(str(message))
            print(f"Note: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show_sentence
        yield


def _sentence(failure: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(failure, LatentspaceError | CycloptsError):
        words = str(failure)
    elif isinstance(failure, MemoryError):
        words = "There is not enough memory for this: give fewer items, or smaller ones."
    elif isinstance(failure, OSError):
        words = f"{failure.filename or 'A file'}: {failure.strerror or failure}."
    else:
        words = f"Unexpected {type(failure).__name__}: {failure} (run again with --debug to see where)."
    return " ".join(words.split())
