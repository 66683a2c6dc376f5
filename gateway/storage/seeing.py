"""Whose eyes look: the condition under which a row about some cameras is shown to somebody who does not see all."""

from sqlalchemy import ColumnElement, and_, exists, or_

from gateway.domain.footage import Reach


def shown(
    reach: Reach, *, owner: ColumnElement[str], row: ColumnElement[str], of: ColumnElement[str], camera: ColumnElement[str]
) -> ColumnElement[bool]:
    """`owner` is whose eyes they are, or `reach` has every camera of `row`.

    `of` and `camera` are two columns of the table of its cameras: the id that `row` has as well, and a camera. A row without cameras is
    its owner's alone.
    """
    own = exists().where(of == row)  # not "one within reach": SQLite would seek each camera of the city for each row
    return or_(owner == str(reach.filer), and_(own, ~own.where(camera.not_in(list(reach.cameras)))))
