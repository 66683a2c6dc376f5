"""A YAML file read against its model, each fault named with its place."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gateway.errors import Fault, InvalidInput

M = TypeVar("M", bound=BaseModel)


def read(path: Path, model: type[M]) -> M:
    """What `path` holds. Raises InvalidInput with a fault for each thing that is wrong with it."""
    try:
        return model.model_validate(yaml.load(path.read_text("utf-8"), _UniqueKeys))  # noqa: S506 -- a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise InvalidInput(path.name, faults=[Fault(f"{path.name} line {line}", str(error.problem))]) from error
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(path.name, faults=[Fault(path.name, str(error))]) from error
    except ValidationError as error:
        faults = [Fault(f"{path.name} {'.'.join(map(str, fault['loc']))}", fault["msg"]) for fault in error.errors()]
        raise InvalidInput(path.name, faults=faults) from error


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, as it ought to be."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.value[place][0].start_mark)
        return super().construct_mapping(node, deep)
