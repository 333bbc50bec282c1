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
print(team.rank, team.size, team.leads, weight.grad.tolist(), flush=True)
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
    result = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert sorted(result.stdout.split("\n")[:2]) == [
        "0 2 True [1.5, 1.5, 1.5]",
        "1 2 False [1.5, 1.5, 1.5]",
    ]
