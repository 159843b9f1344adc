"""What the scenarios share: a fleet for each, the time of an undisturbed run, and the table at the end."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

# The parts that start, count and end whole fleets stand beside the acceptance tests.
sys.path.append(str(Path(__file__).parents[1] / "acceptance"))

from chaos_run import Run, Shape
from evidence import Evidence, table

_TIMEOUT_SECONDS = 600
_shown: list[Evidence] = []
_session: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    """Keeps what the reports are printed by."""
    _session.append(config)


def asked_for(config: pytest.Config) -> bool:
    """Whether all scenarios run: by `-m chaos`, or because this folder or one of its files was named."""
    # A process of pytest-xdist's has the arguments of the one that started it.
    given = getattr(config, "workerinput", {}).get("mainargv") or config.invocation_params.args
    return "chaos" in config.option.markexpr or any("tests/chaos" in str(argument) for argument in given)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the scenarios, those that are marked as representative run with all tests; the others when asked for."""
    left = []
    for item in items:
        mark = item.get_closest_marker("chaos")
        if mark is None:
            continue
        item.add_marker(pytest.mark.timeout(_TIMEOUT_SECONDS), append=False)
        if not asked_for(config) and not mark.kwargs.get("representative"):
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Callable[[Shape], float | None]:
    """The seconds that a run of some shape takes without a fault, by one run of the usual shape.

    What that takes beyond the ideal is start and end, which are the same for any shape. With all other tests there is
    no time for such a run.
    """
    known: list[float] = []

    def seconds(shape: Shape) -> float | None:
        if not asked_for(pytestconfig):
            return None
        if not known:
            # Of all processes of a parallel run one takes the time, and the others wait for it.
            base = tmp_path_factory.getbasetemp()
            parallel = "workerinput" in vars(pytestconfig)
            with (base.parent if parallel else base).joinpath("undisturbed").open("a+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                if not (text := file.read()):
                    text = str(start_and_end(tmp_path_factory.mktemp("undisturbed")))
                    file.write(text)
                known.append(float(text))
        return shape.ideal_seconds + known[0]

    return seconds


def start_and_end(folder: Path) -> float:
    """The seconds that a run without a fault takes beyond the ideal."""
    with Run(folder) as run:
        run.go()
        census = run.ends()
        assert not census.paid_twice
        assert not census.cut
    return run.seconds - run.shape.ideal_seconds


@pytest.fixture
def chaos(
    request: pytest.FixtureRequest, tmp_path: Path, undisturbed: Callable[[Shape], float | None]
) -> Iterator[Callable[..., Run]]:
    """Gives a fleet of some shape, with the parameters of Run; a line of evidence is printed when the test is over."""
    runs: list[Run] = []

    def start(shape: Shape | None = None, **more: Any) -> Run:
        runs.append(Run(tmp_path, shape or Shape(), **more))
        return runs[-1]

    yield start
    for run in runs:
        if run.census is not None:
            usual = undisturbed(run.shape)
            name = request.node.name.removeprefix("test_").replace("_", " ")
            found = Evidence.of(name, run.census, None if usual is None else run.seconds - usual, run.notes)
            request.node.user_properties.append(("chaos", found.to_text()))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A line of evidence for each scenario as it ends; by way of its report, which crosses processes."""
    reporter: Any = _session[0].pluginmanager.getplugin("terminalreporter")
    if report.when != "teardown" or reporter is None:
        return
    for name, value in report.user_properties:
        if name == "chaos":
            found = Evidence.from_text(str(value))
            _shown.append(found)
            reporter.ensure_newline()
            reporter.write_line(found.line())


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table, and the same in a file to keep where all scenarios ran; once for all processes."""
    if not _shown or "workerinput" in vars(config):
        return
    text = table(sorted(_shown, key=lambda found: found.name))
    terminalreporter.section("chaos: nothing lost, nothing paid twice")
    terminalreporter.write_line(text)
    if "chaos" in config.option.markexpr:
        file = config.rootpath / "data" / f"chaos-{datetime.now():%Y%m%d-%H%M%S}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{text}\n", "utf-8")
        terminalreporter.write_line(f"\nThis table is in {file.relative_to(config.rootpath)}.")
