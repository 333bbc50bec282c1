"""The tables and the JSON of what was measured."""

import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.bench import Measured
from app.wav2lip.devices import usable_cores
from benchmarks.runs import Crowd, Series, times_cheaper, times_faster


@dataclass
class Report:
    """All that one run of the benchmark found."""

    series: list[Series] = field(default_factory=list)
    starts: dict[str, float] = field(default_factory=dict)
    crowds: list[tuple[str, Crowd]] = field(default_factory=list)
    micro: list[Measured] = field(default_factory=list)

    def print(self, console: Console) -> None:
        """Print everything as tables."""
        console.print(machine())
        console.print(self._renders(), self._stages())
        starts = Table("start of the service", "s to /readyz", box=None)
        for name, seconds in self.starts.items():
            starts.add_row(name, f"{seconds:.1f}")
        console.print(starts)
        if self.crowds:
            console.print(self._crowds())
        if self.micro:
            console.print(self._micro())

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data, every single run included."""
        return {
            "machine": machine(),
            "series": [asdict(series) for series in self.series],
            "ready_seconds": self.starts,
            "crowds": [{"pipeline": name} | asdict(crowd) for name, crowd in self.crowds],
            "micro": [asdict(line) for line in self.micro],
        }

    def _renders(self) -> Table:
        headings = ("x real time", "CPU s a second", "first picture s", "peak MB", "x naive", "x its CPU s")
        table = Table("scenario", "pipeline", *headings, box=None)
        for series in self.series:
            naive = self._naive(series)
            first = series.first_picture
            table.add_row(
                series.scenario,
                series.pipeline,
                f"{series.real_time:.2f}",
                f"{series.cpu:.2f}",
                "" if first is None else f"{first:.2f}",
                f"{series.peak:.0f}",
                "" if naive is None else f"{times_faster(series.runs, naive.runs):.1f}",
                "" if naive is None else f"{times_cheaper(series.runs, naive.runs):.1f}",
            )
        return table

    def _naive(self, series: Series) -> Series | None:
        others = (s for s in self.series if s.scenario == series.scenario and s is not series)
        return next((other for other in others if other.pipeline.startswith("naive")), None)

    def _stages(self) -> Table:
        table = Table("scenario", "pipeline", "share of each stage in their sum", box=None)
        for series in self.series:
            if shares := series.stage_shares:
                text = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
                table.add_row(series.scenario, series.pipeline, text)
        return table

    def _crowds(self) -> Table:
        table = Table("renders at once", "pipeline", "p50 s", "p95 s", "x real time in all", box=None)
        for name, crowd in self.crowds:
            count = len(crowd.wall_seconds)
            total = count * crowd.media_seconds / max(crowd.wall_seconds)
            label = f"{count} of {crowd.media_seconds:g} s"
            table.add_row(label, name, f"{crowd.p50:.1f}", f"{crowd.p95:.1f}", f"{total:.2f}")
        return table

    def _micro(self) -> Table:
        table = Table("part", "what", "value", "", box=None)
        for line in self.micro:
            table.add_row(line.part, line.name, f"{line.value:.4g} {line.unit}", line.note)
        return table


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    flags = next((line for line in info if line.startswith("flags")), "").split()
    return {
        "cpu": name or platform.processor(),
        "cores": str(usable_cores()),
        "instructions": " ".join(
            flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags
        ),
        "load": " ".join(Path("/proc/loadavg").read_text().split()[:3]),
        "openvino": version("openvino"),
        "av": version("av"),
    }
