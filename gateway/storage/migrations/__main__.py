"""Migrate the store whose address comes by standard input: `echo sqlite+aiosqlite:////path | python -m gateway.storage.migrations`."""

import sys

from alembic import command
from alembic.config import Config

from gateway.storage.migrations import HERE


def main() -> int:
    config = Config()
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.attributes["url"] = sys.stdin.read().strip()
    try:
        command.upgrade(config, "head")
    except Exception as error:  # the last line of what this process says is its answer
        original = getattr(error, "orig", None) or error
        sys.stderr.write(f"{type(original).__name__}: {str(original).splitlines()[0] if str(original) else ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
