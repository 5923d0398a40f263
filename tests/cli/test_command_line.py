"""The command line as such: help, mistakes, streams, and the promises of the README's tables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from pipeline import __version__, errors
from pipeline.cli import INTERRUPTED, failures
from pipeline.cli import app as command_line
from pipeline.cli.app import app
from tests.conftest import Earmark

ROOT = Path(__file__).parent.parent.parent


def commands() -> dict[str, object]:
    """Every command by the words that call it."""
    group = typer.main.get_command(app)
    found: dict[str, object] = {}
    for name, command in group.commands.items():
        below = getattr(command, "commands", None)
        if below is None:
            found[name] = command
        else:
            found |= {f"{name} {sub}": entry for sub, entry in below.items()}
    return found


def examples() -> list[str]:
    return [
        line.strip()
        for command in commands().values()
        for line in command.epilog.splitlines()
        if line.startswith("  ")
    ]


def test_the_version_goes_to_stdout(earmark: Earmark):
    done = earmark("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"earmark {__version__}\n", "")


def test_no_command_at_all_shows_the_help_and_no_error(capsys):
    assert command_line.run([]) == 2
    said = capsys.readouterr()
    assert "identify" in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["identiy", "x"], "No such command 'identiy'", "earmark --help"),
        (["identify"], "Missing argument 'PATH'", "earmark identify --help"),
        (["identify", "--bogus", "x"], "No such option: --bogus", "earmark identify --help"),
        (["identify", "nowhere"], "there is no file or folder nowhere", "check the spelling"),
        (["identify", ".", "--segment", "3"], "--segment: '3' is not allowed", "give seconds from 15 to 30"),
        (["identify", ".", "--out", "x.pdf"], "x.pdf", ".xlsx"),
        (["identify", ".", "--recognizer", "audiotag"], "no key is set", "AUDIOTAG_API_KEY"),
        (["explain", "x.mp3"], "no ledger", "earmark identify"),
        (["catalogue", "remove", "x"], "the catalogue is empty", "earmark catalogue add"),
        (["account", "--recognizer", "catalogue"], "no account", "paid service"),
    ],
)
def test_a_mistake_is_one_error_line_and_one_hint_with_exit_code_2(
    capsys, arguments: list[str], error: str, hint: str
):
    assert command_line.run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second


def test_every_command_shows_examples_in_its_help():
    assert all("Examples:" in command.epilog for command in commands().values())
    assert len(examples()) > 15


@pytest.mark.parametrize("line", examples())
def test_every_example_in_the_help_is_a_command_line_that_parses(line: str):
    words = shlex.split(line.rsplit("|", maxsplit=1)[-1])
    words = words[words.index("earmark") + 1 :]
    if ">" in words:
        words = words[: words.index(">")]
    name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
    command = commands()[name]
    command.make_context(name, words[len(name.split()) :])


def test_help_never_offers_a_secret_as_an_option():
    for command in commands().values():
        for parameter in command.params:
            assert not re.search("key|token|secret|password", parameter.name), parameter.name


# ---- the tables of the README


def test_the_readme_lists_every_exit_code_of_the_code_and_no_other():
    section = (ROOT / "README.md").read_text().split("## Exit codes")[1].split("\n## ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)}
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    raised = {cls.exit_code for cls in classes if issubclass(cls, errors.EarmarkError)}
    assert listed == raised | {0, 3, failures.BUG, INTERRUPTED}


def test_the_readme_lists_every_command():
    section = (ROOT / "README.md").read_text().split("## Commands")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `earmark ([a-z]+(?: [a-z]+)?)", section, re.MULTILINE))
    assert listed == set(commands()) - {"sample"}


def test_make_alone_lists_every_target_that_the_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


# ---- how things end


def test_a_bug_is_one_line_with_the_traceback_in_a_file(monkeypatch, capsys):
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("seven by nought")

    monkeypatch.setattr(command_line, "app", broken)
    assert command_line.run(["identify"]) == 70
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: a bug in earmark: ZeroDivisionError: seven by nought"
    written = Path(hint.rpartition(" ")[2])
    assert "seven by nought" in written.read_text()
    written.unlink()


def test_an_interrupt_outside_a_run_ends_with_130_and_no_traceback(monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "app", interrupted)
    assert command_line.run(["plan"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_name_cannot_drive_the_terminal(capsys):
    from pipeline.cli.terminal import Terminal

    failures.tell(Terminal(), errors.UsageError("no file \x1b[31mred\x1b[0m\x07 [bold]x[/bold]"))
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "[bold]x[/bold]" in said
