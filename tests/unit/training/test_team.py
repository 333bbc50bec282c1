import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from training.team import Team, join_team  # noqa: E402

MEMBER = """
import sys, torch
from training.team import join_team
team = join_team()
weight = torch.zeros(3, requires_grad=True)
spare = torch.zeros(2, requires_grad=True)
(weight * (team.rank + 1.0)).sum().backward()
team.average_gradients([weight, spare])
assert spare.grad is None
with open(f"{sys.argv[1]}/{team.rank}", "w") as file:
    print(team.size, team.leads, weight.grad.tolist(), file=file)
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def test_one_process_is_a_team_of_its_own() -> None:
    assert join_team() == Team(0, 1)
    assert Team().leads


def test_no_two_members_ever_draw_the_same_batch() -> None:
    draws = [Team(rank, 3).draw(step) for step in range(5) for rank in range(3)]
    assert sorted(draws) == list(range(15))


@pytest.mark.slow
def test_a_team_s_gradients_are_the_mean_over_its_members(tmp_path: Path) -> None:
    script = tmp_path / "member.py"
    script.write_text(MEMBER)
    root = Path(__file__).parents[3]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [*torchrun, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "0").read_text() == "2 True [1.5, 1.5, 1.5]\n"
    assert (tmp_path / "1").read_text() == "2 False [1.5, 1.5, 1.5]\n"
