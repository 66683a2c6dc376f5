"""A report as a spreadsheet: figures as numbers that can be reckoned with, and every word as text that nothing takes for a formula."""

import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import xlsxwriter

from gateway.domain.availability import MICROSECONDS
from gateway.reports.exclusions import periods
from gateway.reports.kinds import Words
from gateway.reports.report import By, Figures, Report, Row
from gateway.reports.wording import Language, Wording
from gateway.reports.words import BY, FORMULAS, KINDS, WORDS, Pair

TABLES: Final = (By.DISTRICT, By.KIND, By.VENDOR, By.MODEL, By.MAINTAINER, By.GROUP, By.DEVICE)
_UNSEEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufffe\uffff]")
_CELL_MOST: Final = 32_767  # of the format
_HOUR: Final = 3_600 * MICROSECONDS
_COLUMNS: Final = (  # name, raw or adjusted, how it is written, width
    *(("online", kind, "share", 10) for kind in ("raw", "adjusted")),
    *(("intact", kind, "share", 10) for kind in ("raw", "adjusted")),
    ("time_sync", "", "share", 10),
    ("picture", "", "share", 10),
    *(("recording", kind, "share", 10) for kind in ("raw", "adjusted")),
    *(("outages", kind, "count", 9) for kind in ("raw", "adjusted")),
    *(("mtbf", kind, "hours", 10) for kind in ("raw", "adjusted")),
    *(("mttr", kind, "hours", 10) for kind in ("raw", "adjusted")),
    *(("longest", kind, "hours", 10) for kind in ("raw", "adjusted")),
    *(("down", kind, "hours", 11) for kind in ("raw", "adjusted")),
    ("degraded", "", "hours", 11),
    ("maintenance", "", "hours", 11),
    ("excused", "", "hours", 11),
    ("unknown", "", "hours", 11),
)


def sheet(report: Report, language: Language, *, site: str, kinds: Mapping[str, Words], wording: Wording) -> bytes:
    """The workbook (.xlsx): a sheet for the whole, one for each table of the report, what was left out, the formulas."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    )
    book.set_properties(
        {"title": f"availability {report.first} {report.last}", "created": report.made_at.astimezone(UTC).replace(tzinfo=None)}
    )
    writing = _Book(book, wording, english=language is Language.EN)
    writing.summary(report, site)
    for by in TABLES:
        if by in report.tables:
            writing.table(BY[by], by, report.tables[by], report.whole)
    writing.table(WORDS["worst"], By.DEVICE, report.worst, None)
    writing.left_out(report, kinds)
    writing.formulas()
    book.close()
    return file.getvalue()


def cell(value: object) -> str:
    """Anything as text of a cell: nothing unseen, no longer than a cell may be. It is only ever written as a string."""
    return _UNSEEN.sub("", str(value))[:_CELL_MOST]


class _Book:
    """A workbook in the making."""

    def __init__(self, book: Any, wording: Wording, *, english: bool) -> None:
        self._book = book
        self._w = wording
        self._english = english
        font = {"font_name": "Arial" if english else "Microsoft YaHei", "font_size": 10}
        head = {**font, "bold": True, "bg_color": "#EEF2F6", "border": 1, "border_color": "#C8D1DA", "text_wrap": True, "valign": "vcenter"}
        self._head = book.add_format({**head, "align": "center"})
        self._text = book.add_format({**font, "valign": "top"})
        self._wrapped = book.add_format({**font, "valign": "top", "text_wrap": True})
        self._bold = book.add_format({**font, "bold": True, "valign": "top"})
        self._title = book.add_format({**font, "bold": True, "font_size": 16})
        formats = {"share": "0.00%", "count": "#,##0", "hours": "#,##0.00", "time": "yyyy-mm-dd hh:mm"}
        self._number = {name: book.add_format({**font, "num_format": code, "valign": "top"}) for name, code in formats.items()}
        self._total = {name: book.add_format({**font, "num_format": code, "bold": True, "top": 1}) for name, code in formats.items()}
        self._total_text = book.add_format({**font, "bold": True, "top": 1})

    # -- sheets

    def summary(self, report: Report, site: str) -> None:
        w = self._w
        page = self._sheet(WORDS["summary"])
        page.set_column(0, 0, 34)
        page.set_column(1, 2, 24)
        self._put(page, 0, 0, w.line("title"), self._title)
        facts = [
            ("period", f"{report.first} – {report.last}"),
            *([] if report.finished else [("so_far", w.moment(report.end))]),
            ("zone", report.zone),
            ("made_at", w.moment(report.made_at)),
            ("devices", report.whole.figures.devices),
            ("out_of_service", report.out_of_service),
        ]
        if site:
            self._put(page, 1, 0, site, self._bold)
        for number, (name, value) in enumerate(facts, 2):
            self._put(page, number, 0, w.line(name), self._text)
            self._put(page, number, 1, value, self._text)
        top = 3 + len(facts) + 1
        for column, name in enumerate(("raw", "adjusted"), 1):
            self._put(page, top, column, w.line(name), self._head)
        values = _values(report.whole.figures)
        for number, name in enumerate(dict.fromkeys(name for name, *_ in _COLUMNS), top + 1):
            self._put(page, number, 0, self._with_unit(name, next(how for one, _, how, _ in _COLUMNS if one == name)), self._text)
            for column, kind in enumerate(("raw", "adjusted"), 1):
                how = next((how for one, each, how, _ in _COLUMNS if (one, each) == (name, kind)), "")
                if how:
                    self._number_cell(page, number, column, values[name, kind], self._number[how])
            if (name, "") in values:
                how = next(how for one, _, how, _ in _COLUMNS if one == name)
                self._number_cell(page, number, 1, values[name, ""], self._number[how])
        page.fit_to_pages(1, 0)

    def table(self, title: Pair, by: By, rows: Sequence[Row], whole: Row | None) -> None:
        page = self._sheet(title)
        named = ("id", "name", "place") if by is By.DEVICE else ("id", "name") if by in (By.GROUP, By.CELL) else ("id",)
        heads = [" ".join(self._w.words(BY[by])), *(self._w.line(name) for name in named[1:]), self._w.line("devices")]
        for column, head in enumerate(heads):
            page.merge_range(0, column, 1, column, cell(head), self._head)
            page.set_column(column, column, 9 if column == len(heads) - 1 else 20)
        self._figure_heads(page, len(heads))
        page.freeze_panes(2, len(named))
        for number, row in enumerate(rows, 2):
            key = self._w.line(row.key, KINDS) if by is By.KIND else row.key or self._w.line("unnamed")
            words = [key, row.name, row.place][: len(named)]
            for column, word in enumerate(words):
                self._put(page, number, column, word, self._text)
            self._row(page, number, len(named), row.figures, self._number)
        last = len(rows) + 1
        if rows:
            page.autofilter(1, 0, last, len(heads) + len(_COLUMNS) - 1)
        if whole is not None:
            for column in range(len(named)):
                self._put(page, last + 1, column, self._w.line("total") if column == 0 else "", self._total_text)
            self._row(page, last + 1, len(named), whole.figures, self._total)

    def left_out(self, report: Report, kinds: Mapping[str, Words]) -> None:
        w = self._w
        page = self._sheet(WORDS["excluded"])
        page.set_column(0, 8, 20)
        at = self._listed(page, 0, "windows", ("id", "reason", "created_by", "affected", "times", "from", "to"), [
            (one.window.id, one.window.reason, one.window.created_by, len(one.devices), len(one.spans), one.spans[0][0], one.spans[-1][1])
            for one in report.exclusions.maintenance
        ])  # fmt: skip
        excuses = []
        for one in report.exclusions.excuses:
            excuse = one.excuse
            named = kinds.get(excuse.kind)
            kind = " ".join(w.words((named.zh, named.en))) if named else excuse.kind
            evidence = " ".join(part for part in (excuse.evidence, excuse.incident) if part)
            by = excuse.decided_by.name if excuse.decided_by else ""
            row = (excuse.id, kind, excuse.reason, evidence, excuse.proposed_by.name, by, len(one.devices), excuse.start, excuse.end)
            excuses.append(row)
        heads = ("id", "kind", "reason", "evidence", "proposed_by", "approved_by", "affected", "from", "to")
        at = self._listed(page, at + 1, "excuses", heads, excuses)
        self._listed(page, at + 1, "blind", ("from", "to"), periods(report.exclusions.blind))

    def formulas(self) -> None:
        page = self._sheet(WORDS["formulas"])
        page.set_column(0, 0, 26)
        page.set_column(1, 1, 110)
        for number, one in enumerate(FORMULAS):
            self._put(page, number, 0, " ".join(self._w.words((one.zh, one.en))), self._bold)
            self._put(page, number, 1, "\n".join(self._w.words((one.zh_formula, one.en_formula))), self._wrapped)

    # -- cells

    def _sheet(self, title: Pair) -> Any:
        name = re.sub(r"[\[\]:*?/\\']", " ", title[1 if self._english else 0])[:31]
        page = self._book.add_worksheet(name)
        page.set_landscape()
        page.set_paper(9)  # A4
        page.fit_to_pages(1, 0)
        page.repeat_rows(0, 1)
        page.set_footer("&L&A&R&P / &N")
        return page

    def _figure_heads(self, page: Any, first: int) -> None:
        column = first
        for name, kind, how, width in _COLUMNS:
            page.set_column(column, column, width)
            label = self._with_unit(name, how)
            if kind == "raw":
                page.merge_range(0, column, 0, column + 1, cell(label), self._head)
            elif not kind:
                page.merge_range(0, column, 1, column, cell(label), self._head)
            if kind:
                self._put(page, 1, column, self._w.line(kind), self._head)
            column += 1

    def _with_unit(self, name: str, how: str) -> str:
        return f"{self._w.line(name)} ({self._w.line('hours')})" if how == "hours" else self._w.line(name)

    def _row(self, page: Any, number: int, first: int, figures: Figures, formats: Mapping[str, Any]) -> None:
        self._number_cell(page, number, first, figures.devices, formats["count"])
        values = _values(figures)
        for column, (name, kind, how, _) in enumerate(_COLUMNS, first + 1):
            self._number_cell(page, number, column, values[name, kind], formats[how])

    def _listed(self, page: Any, top: int, title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """A small table; the row after it."""
        self._put(page, top, 0, self._w.line(title), self._bold)
        for column, name in enumerate(heads):
            self._put(page, top + 1, column, self._w.line(name), self._head)
        for number, row in enumerate(rows, top + 2):
            for column, value in enumerate(row):
                self._put(page, number, column, value, self._wrapped)
        if not rows:
            self._put(page, top + 2, 0, self._w.line("none"), self._text)
        return top + 2 + max(1, len(rows))

    def _put(self, page: Any, row: int, column: int, value: Any, style: Any) -> None:
        if isinstance(value, datetime):
            page.write_datetime(row, column, value.astimezone(self._w.zone).replace(tzinfo=None), self._number["time"])
        elif isinstance(value, int):
            page.write_number(row, column, value, style)
        else:
            page.write_string(row, column, cell(value), style)

    def _number_cell(self, page: Any, row: int, column: int, value: float | None, style: Any) -> None:
        if value is None:
            page.write_string(row, column, "–", style)
        else:
            page.write_number(row, column, value, style)


def _values(figures: Figures) -> Mapping[tuple[str, str], float | None]:
    """The number of each column; times in hours, shares from 0 to 1."""
    account = figures.account
    found: dict[tuple[str, str], float | None] = {
        ("time_sync", ""): account.clock_right,
        ("picture", ""): account.picture_good,
        ("recording", "raw"): figures.recording,
        ("recording", "adjusted"): figures.recording_adjusted,
        ("degraded", ""): account.raw.degraded / _HOUR,
        ("maintenance", ""): account.maintenance / _HOUR,
        ("excused", ""): account.excused / _HOUR,
        ("unknown", ""): account.unknown / _HOUR,
    }
    for kind, tally in (("raw", account.raw), ("adjusted", account.adjusted)):
        found |= {
            ("online", kind): tally.online,
            ("intact", kind): tally.intact,
            ("outages", kind): tally.outages,
            ("mtbf", kind): None if tally.mtbf_s is None else tally.mtbf_s / 3_600,
            ("mttr", kind): None if tally.mttr_s is None else tally.mttr_s / 3_600,
            ("longest", kind): tally.longest / _HOUR,
            ("down", kind): tally.down / _HOUR,
        }
    return found
