"""The instructions for a backup name every folder in which the gateway keeps something."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = re.compile(r'data_dir / "([a-z-]+)"')


def test_every_folder_of_the_data_folder_stands_in_the_backup_instructions() -> None:
    made = {name for path in (ROOT / "gateway").rglob("*.py") for name in FOLDER.findall(path.read_text(encoding="utf-8"))}
    made |= {"footage-brought"}  # made beside `footage` by the footage service
    page = (ROOT / "docs" / "operate" / "from-the-demo-to-the-street.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`([a-z.-]+)`", page.split("## 10. Backup")[1].split("\n## ")[0]))
    assert {"holds", "footage", "clips"} <= made
    assert not sorted(made - {"store-key"} - told)
