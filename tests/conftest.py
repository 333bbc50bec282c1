"""How the suite is run: which tests share a worker process, and which must not be skipped."""

import gc
import os
from collections.abc import Generator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

# Property tests draw the same examples on every run, and none fails for being slow on a busy machine.
settings.register_profile(
    "suite", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

# Several workers share the cores (pytest-xdist), and so do the services that they start: threads that spin
# while they wait would take the cores from each other. Read when numpy, torch and OpenMP are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
SHARED = ("e2e", "browser", "integration/wav2lip")
"""Folders whose tests share something costly: a running service, an exported network."""

HARDWARE = ("no CUDA device", "does not compute in bf16", "NVENC")
"""What the reason of a skip says where the machine, not an installation, lacks something."""
SERVICES = ("apt-get install",)
"""What it says where something is missing that ``scripts/services`` installs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nothing-missing",
        action="store_true",
        help="Fail a test that would be skipped for want of a package, a program or a service.",
    )
    parser.addoption(
        "--but-services",
        action="store_true",
        help="With --nothing-missing: what scripts/services installs may be missing all the same.",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Keep the tests of a file, or of a folder that shares something, in one worker process."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return next((folder for folder in SHARED if path.startswith(f"tests/{folder}/")), path)

    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among modules and tests, which all stay: that took a quarter of collecting."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure, if nothing may be missing."""
    return _refused_if_skipped(item.config, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a module into a failure, if nothing may be missing."""
    return _refused_if_skipped(collector.config, (yield))


def _refused_if_skipped(config: pytest.Config, report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--nothing-missing"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        allowed = HARDWARE + SERVICES * config.getoption("--but-services")
        if not any(lack in reason for lack in allowed):
            report.outcome = "failed"
            report.longrepr = f"{reason}\n(with --nothing-missing a skip is a failure)"
    return report
