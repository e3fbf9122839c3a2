"""Commands on the pages have the subcommands and options that the programs know: ours, kubectl, helm."""

import itertools
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from askfleet.main import application
from tests.manifests.conftest import ROOT

EKS = ROOT / "docs" / "deploy-eks.md"
PAGES = (EKS, ROOT / "deploy" / "keda" / "README.md", ROOT / "docs" / "fleet.md")
OURS = re.compile(r"(?:^|^\$ |`)((?:python -m \w+\.\w+|askfleet)(?: [^`|\n]*)?)", re.MULTILINE)
NOT_PROGRAMS = {("askfleet",)}
"""Said as a name, not as a command."""
Said = tuple[tuple[str, ...], frozenset[str]]
"""Program with its subcommands, and the options that a page gives it."""


def _ours(text: str) -> set[Said]:
    found = {_parts(shlex.split(line.partition(" > ")[0])) for line in OURS.findall(text)}
    return {said for said in found if said[0] not in NOT_PROGRAMS}


def _parts(words: list[str]) -> Said:
    at = 3 if words[0] == "python" else 1
    names = itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), words[at:])
    return (*words[:at], *names), _options(words)


def _options(words: list[str]) -> frozenset[str]:
    return frozenset(word.partition("=")[0] for word in words if re.match(r"--[a-z]|-[a-zA-Z]$", word))


def _help(command: tuple[str, ...]) -> str:
    if command[0] == "askfleet":
        shown = CliRunner().invoke(application(command[1]), [*command[1:], "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0, f"{command}: {shown.output}"
        return shown.output
    return _shown((sys.executable, *command[1:], "--help"))


@cache
def _shown(command: tuple[str | Path, ...]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def _knows(help_text: str, option: str) -> bool:
    return bool(re.search(rf"(^|[\s,]){option}\b", help_text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_our_programs_know_the_commands_and_options_of_a_page(page: Path) -> None:
    commands = _ours(page.read_text())
    assert commands
    for command, options in sorted(commands, key=str):
        shown = _help(command)
        unknown = {option for option in options - {"-m"} if not _knows(shown, option)}
        assert not unknown, f"{' '.join(command)} has no {unknown}"


def test_our_commands_are_found_where_they_stand() -> None:
    text = (
        "`askfleet fleet render --check`, askfleet as a word\npython -m bus.server keys k/ --tenants t > x\n"
    )
    assert _ours(text) == {
        (("askfleet", "fleet", "render"), frozenset({"--check"})),
        (("python", "-m", "bus.server", "keys"), frozenset({"-m", "--tenants"})),
    }


def test_kubectl_and_helm_know_the_options_of_the_page(kubectl: Path, helm: Path) -> None:
    blocks = "".join(re.findall(r"^```\n(.*?)^```", EKS.read_text(), re.DOTALL | re.MULTILINE))
    lines = re.findall(r"(?:^|\| )((?:kubectl|helm) [^|\n]*)", blocks.replace("\\\n", " "), re.MULTILINE)
    assert len(lines) > 20
    everywhere = _shown((kubectl, "options"))
    for words in map(shlex.split, lines):
        program = kubectl if words[0] == "kubectl" else helm
        shown = _shown((program, words[1], "--help")) + (everywhere if program == kubectl else "")
        unknown = {option for option in _options(words) if not _knows(shown, option)}
        assert not unknown, f"{' '.join(words)}: {unknown}"
