"""`gateway evidence-key` as an operator runs it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def evidence_key(folder: Path, *options: str) -> list[list[str]]:
    (folder / "gateway.yaml").write_text(f"data_dir: {folder / 'data'}\n")
    command = [sys.executable, "-m", "gateway", "evidence-key", "--config", str(folder / "gateway.yaml"), *options]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_the_key_is_made_shown_and_rotated_and_the_rotation_stands_in_the_audit_record(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (first,) = evidence_key(tmp_path)
    assert (len(first[0]), first[-1]) == (64, "current")
    assert evidence_key(tmp_path) == [first]
    second, old = evidence_key(tmp_path, "--rotate")
    assert (old[0], old[-1] == "current", second[-1]) == (first[0], False, "current")
    with sqlite3.connect(tmp_path / "data" / "gateway.db") as store:
        rows = store.execute("SELECT action, subject FROM audit WHERE action = 'evidence-key.rotated'").fetchall()
    assert rows == [("evidence-key.rotated", second[0])]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_an_sm2_key_is_made_beside_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    first, second = evidence_key(tmp_path, "--sm2")
    assert (first[-1], second[1]) == ("current", "SM2,")
    assert evidence_key(tmp_path) == [first, second]
    with sqlite3.connect(tmp_path / "data" / "gateway.db") as store:
        assert store.execute("SELECT subject FROM audit WHERE action = 'evidence-key.sm2-made'").fetchall() == [(second[0],)]
