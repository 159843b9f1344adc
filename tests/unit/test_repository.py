"""The repository keeps its own rules: what git ignores, which way imports go, who reads the environment."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Each may import those before it.
PACKAGES = ("config", "ledger", "workers", "producers", "console")
#: Modules besides config/settings.py that touch the environment, and why.
READS_THE_ENVIRONMENT = {
    "workers/orphan.py": "passes the parent's process id to a child, which no person sets",
    "workers/runtime.py": "takes the name that the supervisor gave this process",
    "console/flower.py": "hands Flower its password, which must not stand in its arguments",
    "console/commands/demo.py": "points the demo's processes at the simulated provider",
}
KEY = re.compile(r"sk-or-v1-[0-9a-f]{10,}|sk-proj-[A-Za-z0-9_]{20,}|\bhf_[A-Za-z0-9]{30,}")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs git in a folder, untouched by the person's own settings."""
    nowhere = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "safe.directory=*", *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | nowhere
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the packages: its path in the repository and its syntax tree."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The full names of what a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def touches_environment(tree: ast.Module) -> bool:
    """Whether a module uses os.environ or os.getenv, by whatever way of importing."""
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    names = {name.removeprefix("os.") for name in imported(tree) if name.startswith("os.")}
    return bool({"environ", "environb", "getenv", "putenv"} & (used | names))


@pytest.fixture(scope="module")
def ignoring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository with this one's .gitignore."""
    folder = tmp_path_factory.mktemp("repository")
    assert git("init", "--quiet", folder=folder).returncode == 0
    shutil.copy(ROOT / ".gitignore", folder)
    return folder


@pytest.mark.parametrize(
    "path", [".env", ".env.local", "x.key", "logs/a.txt", "a.log", "data/a.jsonl", "checkpoints/1.json"]
)
def test_git_ignores_secrets_and_what_runs_write(ignoring: Path, path: str) -> None:
    """Keys, logs, data and checkpoints cannot be committed by mistake."""
    assert git("check-ignore", "--no-index", "--quiet", path, folder=ignoring).returncode == 0


@pytest.mark.parametrize("path", [".env.example", "config/models.toml", "docker-compose.yml"])
def test_git_keeps_what_belongs_here(ignoring: Path, path: str) -> None:
    """The template of .env and the sources are not ignored."""
    assert git("check-ignore", "--no-index", "--quiet", path, folder=ignoring).returncode == 1


def test_no_file_holds_a_key() -> None:
    """No file that is or could be committed holds anything in the form of a key."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split("\0")
    files = [ROOT / name for name in listed if name and (ROOT / name).is_file()]
    assert len(files) > 50
    assert [path for path in files if KEY.search(path.read_text("utf-8", errors="ignore"))] == []


def test_the_form_of_a_key_is_recognised() -> None:
    """The pattern finds a key and passes over a placeholder."""
    assert KEY.search("OPENROUTER_API_KEY=sk-or-v1-" + "0f" * 32)
    assert not KEY.search("OPENROUTER_API_KEY=sk-or-v1-your-key-here")


def test_imports_go_one_way() -> None:
    """A package imports only those before it: config, ledger, workers, producers, console."""
    for path, tree in modules():
        above = PACKAGES[PACKAGES.index(path.split("/")[0]) + 1 :]
        wrong = [name for name in imported(tree) if name.split(".")[0] in above]
        assert not wrong, f"{path} imports {', '.join(wrong)}"


def test_producers_know_only_how_to_send() -> None:
    """Of workers, producers import the app and the sending of tasks alone, which are cheap to import."""
    for path, tree in modules():
        if path.startswith("producers/"):
            names = [name for name in imported(tree) if name.split(".")[0] == "workers"]
            assert all(f"{name}.".startswith(("workers.app.", "workers.sending.")) for name in names), (
                f"{path} imports {', '.join(names)}"
            )


def test_nothing_imports_tests() -> None:
    """The product does not need its tests or benchmarks."""
    for path, tree in modules():
        assert not {name.split(".")[0] for name in imported(tree)} & {"tests", "benchmarks"}, path


def test_one_module_reads_the_environment() -> None:
    """Settings come from config/settings.py alone; the exceptions are listed here, and none is listed in vain."""
    found = {path for path, tree in modules() if touches_environment(tree)}
    assert found == {"config/settings.py", *READS_THE_ENVIRONMENT}


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_help_lists_every_target() -> None:
    """`make` alone names everything that can be made."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    phony = {name for line in re.findall(r"^\.PHONY:(.*)$", makefile, re.MULTILINE) for name in line.split()}
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert phony <= set(re.findall(r"make ([a-z-]+)", shown.stdout))


def test_ci_runs_what_a_person_runs() -> None:
    """.ci/run can be executed, is correct shell, and ends in the one command that judges the project."""
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert script.read_text("utf-8").rstrip().endswith("\nmake test")
