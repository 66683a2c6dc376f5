"""What `gateway import` says, and where: the difference on standard output, everything about the file on standard error, each once."""

import subprocess
import sys
from pathlib import Path

from tests.inventory.files import CITY

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "gateway.yaml").write_text(f"data_dir: {folder}/data\n")
    command = [sys.executable, "-m", "gateway", "import", "--config", str(folder / "gateway.yaml"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_each_thing_is_said_once_and_garbage_leaves_the_city_standing(tmp_path: Path) -> None:
    (tmp_path / "city.yaml").write_text(CITY)
    (tmp_path / "d.csv").write_text("garbage")
    (tmp_path / "shape.yaml").write_text("groups: {}\n")

    first = run(tmp_path, str(tmp_path / "city.yaml"))
    assert (first.returncode, first.stdout.splitlines()[-1]) == (0, "6 added, 0 changed, 0 removed")
    assert "city.yaml: imported" in first.stderr.splitlines()
    assert "6 added" not in first.stderr

    pruned = run(tmp_path, str(tmp_path / "d.csv"), "--prune")
    assert (pruned.returncode, pruned.stdout) == (2, "")
    assert "  devices: the list is empty: pruning would remove all 4 that are stored" in pruned.stderr.splitlines()

    misshapen = run(tmp_path, str(tmp_path / "shape.yaml"))
    assert misshapen.stderr.count("'groups' must be a list") == 1
