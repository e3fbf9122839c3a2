"""The Dockerfile is read and linted, not built: that takes a container engine (deploy/images/build.sh)."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "deploy" / "images"
DOCKERFILE = IMAGES / "Dockerfile"
FINAL = {"worker": "askfleet-worker", "bulk": "askfleet-bulk", "generation-gpu": "askfleet-generation-gpu"}


@dataclass
class Stage:
    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [text for kind, text in self.steps if kind == instruction]


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    last: Stage | None = None
    for kind, text in _instructions(DOCKERFILE.read_text()):
        if kind == "FROM":
            base, _, name = text.partition(" AS ")
            last = found[name] = Stage(base, name)
        elif last is not None:
            last.steps.append((kind, text))
    return found


def lineage(name: str) -> list[tuple[str, str]]:
    """The steps of a stage behind those of the stages that it is built on."""
    all_stages = stages()
    stage = all_stages[name]
    before = lineage(stage.base) if stage.base in all_stages else []
    return [*before, *stage.steps]


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        assert "CI" not in os.environ, "hadolint is not installed: `make .venv/.dev-installed`"
        pytest.skip("hadolint is not installed: `make .venv/.dev-installed`")
    linted = subprocess.run(
        [hadolint, "--failure-threshold", "style", DOCKERFILE], capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("name", FINAL)
def test_an_image_runs_as_a_numbered_user_that_is_not_root(name: str) -> None:
    users = [text for kind, text in lineage(name) if kind == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), "runAsNonRoot can only judge a number"
    after = lineage(name)[[kind for kind, _ in lineage(name)].index("USER") :]
    assert {kind for kind, _ in after} <= {"USER", "ENTRYPOINT", "CMD"}


@pytest.mark.parametrize("name", FINAL)
def test_an_image_has_no_compiler_no_installer_and_no_probe_of_its_own(name: str) -> None:
    steps = lineage(name)
    shell = " ".join(text for kind, text in steps if kind == "RUN")
    assert not re.search(r"\b(pip|uv|npm)3? (pip )?install\b|build-essential|gcc|git\b", shell)
    assert ("HEALTHCHECK", "NONE") in steps
    assert steps[-1][0] in {"ENTRYPOINT", "CMD"}


@pytest.mark.parametrize("name", ["worker", "bulk"])
def test_the_installer_that_pythons_image_brings_is_removed(name: str) -> None:
    assert any("pip uninstall -y pip" in text for kind, text in lineage(name) if kind == "RUN")


def test_what_is_installed_is_hashed_or_made_here() -> None:
    installed = [
        part
        for stage in stages().values()
        for text in stage.all("RUN")
        for part in text.split("&&")
        if re.search(r"\bpip install\b", part)
    ]
    assert len(installed) >= 8
    for command in installed:
        hashed = "--require-hashes" in command and "-r requirements/" in command
        assert hashed or ("--offline" in command and "/wheel/" in command), command


def test_a_package_that_comes_as_source_is_built_by_what_was_hashed() -> None:
    for name in ("build", "build-bulk", "build-generation-gpu"):
        commands = [part for kind, text in lineage(name) if kind == "RUN" for part in text.split("&&")]
        installed = [part for part in commands if re.search(r"\bpip install\b", part)]
        tools = next(at for at, part in enumerate(installed) if "-r requirements/build.txt" in part)
        for at, part in enumerate(installed):
            if "--require-hashes" in part and not re.search(r"-r requirements/(build|uv)\.txt", part):
                assert at > tools, part
                assert "--no-build-isolation" in part, part


def test_bases_are_arguments_with_a_tag_and_vllms_is_the_locked_one() -> None:
    arguments = dict(
        text.split("=", 1) for kind, text in _instructions(DOCKERFILE.read_text()) if kind == "ARG"
    )
    for stage in stages().values():
        assert stage.base in stages() or stage.base.strip("${}") in arguments
    for image in arguments.values():
        assert re.fullmatch(r"docker\.io/[a-z-]+/[a-z-]+:[a-z0-9.-]+(@sha256:[0-9a-f]{64})?", image)
        assert not image.endswith(":latest")
    locked = re.search(r"^vllm==(\S+)", (ROOT / "requirements/generation-gpu-base.txt").read_text(), re.M)
    assert locked is not None
    assert arguments["VLLM_IMAGE"].endswith(f":v{locked[1]}")


def test_all_that_is_copied_reaches_the_build_and_nothing_private_does() -> None:
    copied = {
        source
        for stage in stages().values()
        for text in stage.all("COPY")
        if "--from=" not in text
        for source in re.sub(r"--\S+ ", "", text).split()[:-1]
    }
    assert copied >= {"contracts", "bus", "workers", "askfleet", "requirements/runtime.txt"}
    for source in copied:
        assert (ROOT / source).exists()
        assert _reaches(source), f".dockerignore keeps {source} out"
    for private in (
        ".git",
        ".askfleet/keys.json",
        ".venv/bin/python",
        "tests/conftest.py",
        "workers/x/__pycache__/a.pyc",
    ):
        assert not _reaches(private), private


def test_names_are_those_of_the_manifests() -> None:
    kustomization = yaml.safe_load((ROOT / "deploy/keda/base/kustomization.yaml").read_text())
    deployed = {image["name"] for image in kustomization["images"]}
    assert deployed <= set(FINAL.values())
    titles = {
        name: re.search(r'title="([^"]+)"', " ".join(text for kind, text in lineage(name) if kind == "LABEL"))
        for name in FINAL
    }
    assert {name: found and found[1] for name, found in titles.items()} == FINAL


def test_the_gpu_image_holds_every_package_that_the_generation_worker_imports() -> None:
    program = (
        "import sys, workers.generation.app, bus.provision;"
        "from importlib.metadata import packages_distributions;"
        "tops = {name.partition('.')[0] for name in sys.modules}; known = packages_distributions();"
        "print(*sorted({owner for top in tops for owner in known.get(top, ())}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    needed = {_canonical(name) for name in run.stdout.split()} - {"askfleet"}
    assert {"nats-py", "pydantic", "tokenizers"} <= needed
    # Used where it is there: pydantic and Starlette do without them.
    optional = {"orjson", "greenlet"}
    brought = {
        _canonical(name)
        for file in ("generation-gpu.txt", "generation-gpu-base.txt")
        for name in re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements" / file).read_text(), re.M)
    }
    assert needed - brought - optional == set()


def test_a_worker_is_started_by_its_name_and_no_other() -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-m", "workers", "nobody"], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 2
    assert "bridge" in run.stderr
    assert "retrieval" in run.stderr
    run = subprocess.run(
        [sys.executable, "-P", "-m", "workers", "retrieval"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"AF_CONCURRENCY": "none"},
    )
    assert run.returncode == 2
    assert "RetrievalSettings" in run.stderr


def test_without_a_container_engine_the_script_says_so_and_builds_nothing() -> None:
    run = subprocess.run(
        [IMAGES / "build.sh", "worker"],
        capture_output=True,
        text=True,
        env=os.environ | {"ENGINE": "no-such-engine"},
    )
    assert run.returncode == 3
    assert "no container engine answers here (tried: no-such-engine)" in run.stderr


def test_the_script_builds_each_image_with_its_name_tag_and_base(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text('#!/bin/sh\n[ "$1" = info ] || echo "$@" >> "$0.calls"\n')
    engine.chmod(0o755)
    environment = os.environ | {"ENGINE": str(engine), "REGISTRY": "registry.example.org/team/", "TAG": "7"}
    environment |= {"PUSH": "1", "VLLM_IMAGE": "registry.example.org/vllm@sha256:1"}
    subprocess.run([IMAGES / "build.sh"], check=True, env=environment, capture_output=True)
    calls = Path(f"{engine}.calls").read_text().splitlines()
    for target, name in FINAL.items():
        image = f"registry.example.org/team/{name}:7"
        built = next(call for call in calls if f"--target {target} " in call)
        assert f"--tag {image} " in built
        assert "--build-arg VLLM_IMAGE=registry.example.org/vllm@sha256:1" in built
        assert f"push {image}" in calls


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    for line in joined.splitlines():
        kind, _, rest = line.partition(" ")
        yield kind, rest.strip()


def _reaches(path: str) -> bool:
    """As .dockerignore reads: the last pattern that matches the path, or a folder above it, decides."""
    inside = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, keeps = line.removeprefix("!"), line.startswith("!")
        if any(_matches(part, pattern) for part in [path, *map(str, Path(path).parents)]):
            inside = keeps
    return inside


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return any(fnmatchcase(part, pattern[3:]) for part in Path(path).parts)
    same_depth = path.count("/") == pattern.count("/")
    return path != "." and same_depth and fnmatchcase(path, pattern)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
