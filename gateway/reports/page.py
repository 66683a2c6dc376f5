"""A report as one page of HTML that prints on A4: nothing is loaded, nothing is run, and what devices are called is only ever text."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final

from gateway.markup import text
from gateway.reports.exclusions import periods
from gateway.reports.kinds import Words
from gateway.reports.report import By, Figures, Report, Row
from gateway.reports.wording import NOTHING, Language, Wording, share
from gateway.reports.words import BY, FORMULAS, Pair

ROWS: Final = 100  # of the table that parts the city; the spreadsheet has them all
_COLUMNS: Final = (  # and whether raw and adjusted stand side by side
    *(("online", True), ("intact", True), ("time_sync", False), ("picture", False), ("recording", True), ("outages", True), ("down", True)),
    *(("mtbf", False), ("mttr", False), ("longest", False)),
)

STYLE: Final = """
@page { size: A4 landscape; margin: 12mm 10mm 14mm; }
* { box-sizing: border-box; }
html { font: 10.5px/1.45 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "WenQuanYi Micro Hei", sans-serif;
  color: #16202b; background: #fff; }
body { max-width: 277mm; margin: 0 auto; padding: 6mm 0; }
h1 { font-size: 20px; margin: 0; } h1 small { display: block; font-size: 12px; font-weight: 400; color: #56636f; }
h2 { font-size: 13px; margin: 18px 0 6px; padding-bottom: 3px; border-bottom: 1.5px solid #23527c; color: #23527c; break-after: avoid; }
h3 { font-size: 11px; margin: 10px 0 4px; break-after: avoid; }
header { display: flex; justify-content: space-between; gap: 20px; align-items: flex-end; }
dl.facts { display: grid; grid-template-columns: auto auto; gap: 1px 10px; margin: 0; }
dl.facts dt { color: #56636f; } dl.facts dd { margin: 0; }
.cards { display: grid; grid-template-columns: repeat(5, 1fr); gap: 8px; margin-top: 12px; }
.card { border: 1px solid #c8d1da; border-radius: 4px; padding: 7px 10px; break-inside: avoid; }
.card b { display: block; font-size: 11px; } .card b span { font-weight: 400; color: #56636f; }
.card .value { font-size: 20px; font-variant-numeric: tabular-nums; } .card .other { color: #56636f; font-variant-numeric: tabular-nums; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { padding: 2.5px 5px; border-bottom: 1px solid #dde3e9; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; background: #eef2f6; vertical-align: bottom; } th span { display: block; font-weight: 400; color: #56636f; }
th.words, td.words { text-align: left; white-space: normal; overflow-wrap: break-word; min-width: 24mm; }
th.group { text-align: center; border-left: 1px solid #fff; }
td small { display: block; color: #56636f; } tr.total td { font-weight: 600; border-top: 1.5px solid #23527c; }
td.adjusted, th.adjusted { color: #1b5e3a; }
.note { color: #56636f; margin: 4px 0; }
table.formulas td { text-align: left; white-space: normal; }
.signatures { display: grid; grid-template-columns: repeat(3, 1fr); gap: 24px; margin-top: 34px; break-inside: avoid; }
.signatures div { border-bottom: 1px solid #16202b; padding-bottom: 2px; height: 34px; display: flex; justify-content: space-between;
  align-items: flex-end; }
.signatures div span:last-child { padding-right: 30%; }
@media screen { body { padding: 8mm; } }
"""


def page(report: Report, language: Language, *, site: str, kinds: Mapping[str, Words], wording: Wording) -> str:
    """The whole page. `kinds`: the wordings of what may excuse an outage."""
    said = _Page(wording)
    parts = [
        said.head(report, site),
        said.cards(report.whole.figures),
        said.section("by_kind", said.table(By.KIND, report.tables[By.KIND], report.whole)),
        "" if report.by is By.KIND else said.parted(report),
        said.section("worst", said.worst(report.worst)),
        said.section("excluded", said.excluded(report, kinds)),
        said.section("formulas", said.formulas()),
        said.signatures(),
    ]
    lang = {"zh": "zh-CN", "en": "en", "both": "zh-CN"}[language.value]
    title = text(f"{wording.line('title')} {report.first} – {report.last}")
    style = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="{lang}"><head>{style}</head><body>{"".join(parts)}</body></html>'


class _Page:
    """The parts of the page for one reader."""

    def __init__(self, wording: Wording) -> None:
        self._w = wording

    def head(self, report: Report, site: str) -> str:
        w = self._w
        until = [] if report.finished else [("so_far", w.moment(report.end))]
        facts = [
            ("period", f"{report.first} – {report.last}"),
            *until,
            ("zone", report.zone),
            ("made_at", w.moment(report.made_at)),
            ("devices", str(report.whole.figures.devices)),
            *([("out_of_service", str(report.out_of_service))] if report.out_of_service else []),
        ]
        listed = "".join(f"<dt>{text(w.line(name))}</dt><dd>{text(value)}</dd>" for name, value in facts)
        title, *more = w.label("title")
        second = "".join(f"<small>{text(part)}</small>" for part in (*more, site) if part)
        return f'<header><h1>{text(title)}{second}</h1><dl class="facts">{listed}</dl></header>'

    def cards(self, figures: Figures) -> str:
        account = figures.account
        shown = (
            ("online", account.adjusted.online, account.raw.online),
            ("intact", account.adjusted.intact, account.raw.intact),
            ("time_sync", account.clock_right, None),
            ("picture", account.picture_good, None),
            ("recording", figures.recording_adjusted, figures.recording),
        )
        return f'<div class="cards">{"".join(self._card(*one) for one in shown)}</div>'

    def _card(self, name: str, value: float | None, raw: float | None) -> str:
        adjusted, original = text(self._w.line("adjusted")), text(self._w.line("raw"))
        other = "&nbsp;" if name in ("time_sync", "picture") else f"{adjusted} · {original} {text(share(raw))}"
        return (
            f'<div class="card"><b>{self._two(name)}</b><div class="value">{text(share(value))}</div><div class="other">{other}</div></div>'
        )

    def _two(self, name: str) -> str:
        first, *more = self._w.label(name)
        return text(first) + "".join(f" <span>{text(part)}</span>" for part in more)

    def section(self, name: str, inner: str) -> str:
        return f"<h2>{text(self._w.line(name))}</h2>{inner}"

    def parted(self, report: Report) -> str:
        heading = text(" ".join(self._w.words(BY[report.by])))
        shown = report.rows[:ROWS]
        left = len(report.rows) - len(shown)
        note = f'<p class="note">+ {left}: {text(self._w.line("more_rows"))}</p>' if left else ""
        return f"<h2>{heading}</h2>{self.table(report.by, shown, report.whole)}{note}"

    # -- tables of figures

    def table(self, by: By, rows: Sequence[Row], whole: Row | None) -> str:
        """A line for each row, raw and adjusted side by side."""
        body = "".join(f"<tr>{self._first(by, row)}{self._figures(row.figures)}</tr>" for row in rows)
        if whole is not None and len(rows) != 1:
            body += f'<tr class="total"><td class="words">{text(self._w.line("total"))}</td>{self._figures(whole.figures)}</tr>'
        return f"<table>{self._heads(BY[by])}<tbody>{body}</tbody></table>"

    def _heads(self, first: Pair) -> str:
        top = "".join(self._th(self._w.label(name), span=1 + paired, rows=2 - paired) for name, paired in _COLUMNS)
        raw, adjusted = self._w.label("raw"), self._w.label("adjusted")
        below = "".join(self._th(raw) + self._th(adjusted, kind="adjusted") for _, paired in _COLUMNS if paired)
        named = self._th(self._w.words(first), kind="words", rows=2) + self._th(self._w.label("devices"), rows=2)
        return f"<thead><tr>{named}{top}</tr><tr>{below}</tr></thead>"

    def _th(self, words: Sequence[str], *, kind: str = "", span: int = 1, rows: int = 1) -> str:
        first, *more = words
        inner = text(first) + "".join(f"<span>{text(part)}</span>" for part in more)
        classes = " ".join(part for part in (kind, "group" if span > 1 else "") if part)
        return f'<th class="{classes}" colspan="{span}" rowspan="{rows}">{inner}</th>'

    def _first(self, by: By, row: Row) -> str:
        key = self._w.kind(row.key) if by is By.KIND else row.key or self._w.line("unnamed")
        names = " · ".join(part for part in (row.name, row.place) if part and part != key)
        return f'<td class="words">{text(key)}{f"<small>{text(names)}</small>" if names else ""}</td>'

    def _figures(self, figures: Figures) -> str:
        w, account = self._w, figures.account
        raw, adjusted = account.raw, account.adjusted
        values = [
            (share(raw.online), share(adjusted.online)),
            (share(raw.intact), share(adjusted.intact)),
            (share(account.clock_right),),
            (share(account.picture_good),),
            (share(figures.recording), share(figures.recording_adjusted)),
            (str(raw.outages), str(adjusted.outages)),
            (w.span(raw.down), w.span(adjusted.down)),
            (w.length(raw.mtbf_s),),
            (w.length(raw.mttr_s),),
            (w.span(raw.longest),),
        ]
        cells = "".join(f"<td{' class=adjusted' if number else ''}>{text(one)}</td>" for cell in values for number, one in enumerate(cell))
        return f"<td>{figures.devices}</td>{cells}"

    def worst(self, rows: Sequence[Row]) -> str:
        return self.table(By.DEVICE, rows, None) if rows else self._none()

    # -- what was left out

    def excluded(self, report: Report, kinds: Mapping[str, Words]) -> str:
        account = report.whole.figures.account
        totals = (("maintenance", account.maintenance), ("excused", account.excused), ("unknown", account.unknown))
        summed = " · ".join(f"{self._w.line(name)} {self._hours(value)}" for name, value in totals)
        return (
            f'<p class="note">{text(summed)}</p>'
            f"<h3>{text(self._w.line('windows'))}</h3>{self._windows(report)}"
            f"<h3>{text(self._w.line('excuses'))}</h3>{self._excuses(report, kinds)}"
            f"<h3>{text(self._w.line('blind'))}</h3>{self._blind(report)}"
        )

    def _hours(self, microseconds: int) -> str:
        """Summed over devices: hours of devices say more than days."""
        return f"{microseconds / 3_600_000_000:,.1f} {self._w.line('device_hours')}"

    def _windows(self, report: Report) -> str:
        w = self._w
        rows = [
            (
                one.window.id,
                one.window.reason,
                one.window.created_by,
                str(len(one.devices)),
                str(len(one.spans)),
                w.moment(one.spans[0][0]),
                w.moment(one.spans[-1][1]),
                w.length(sum((end - start).total_seconds() for start, end in one.spans)),
            )
            for one in report.exclusions.maintenance
        ]
        return self._listed(("id", "reason", "created_by", "affected", "times", "from", "to", "length"), rows)

    def _excuses(self, report: Report, kinds: Mapping[str, Words]) -> str:
        w, rows = self._w, []
        for one in report.exclusions.excuses:
            excuse = one.excuse
            named = kinds.get(excuse.kind)
            kind = " ".join(w.words((named.zh, named.en))) if named else excuse.kind
            evidence = " ".join(part for part in (excuse.evidence, excuse.incident) if part)
            by = excuse.decided_by.name if excuse.decided_by else NOTHING
            span = (w.moment(excuse.start), w.moment(excuse.end))
            rows.append((excuse.id, kind, excuse.reason, evidence, excuse.proposed_by.name, by, str(len(one.devices)), *span))
        return self._listed(("id", "kind", "reason", "evidence", "proposed_by", "approved_by", "affected", "from", "to"), rows)

    def _blind(self, report: Report) -> str:
        w = self._w
        rows = [
            (w.moment(start), w.moment(end), w.length((end - start).total_seconds())) for start, end in periods(report.exclusions.blind)
        ]
        return self._listed(("from", "to", "length"), rows)

    def _listed(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        if not rows:
            return self._none()
        top = "".join(self._th(self._w.label(name), kind="words") for name in heads)
        body = "".join("<tr>" + "".join(f'<td class="words">{text(cell)}</td>' for cell in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"

    def _none(self) -> str:
        return f'<p class="note">{text(self._w.line("none"))}</p>'

    # -- the end

    def formulas(self) -> str:
        rows = "".join(
            f"<tr><td><b>{text(' '.join(self._w.words((one.zh, one.en))))}</b></td>"
            f"<td>{_lines(self._w.words((one.zh_formula, one.en_formula)))}</td></tr>"
            for one in FORMULAS
        )
        return f'<table class="formulas"><tbody>{rows}</tbody></table>'

    def signatures(self) -> str:
        day = text(self._w.line("date"))
        lines = "".join(
            f"<div><span>{text(self._w.line(name))}:</span><span>{day}:</span></div>" for name in ("prepared", "checked", "approved")
        )
        return f'<div class="signatures">{lines}</div>'


def _lines(words: Iterable[str]) -> str:
    return "<br>".join(text(part) for part in words)


def file_name(report: Report, ending: str) -> str:
    """A name for the file, made of the period alone."""
    return f"availability-{_name(report.first, report.last)}.{ending}"


def _name(first: date, last: date) -> str:
    return f"{first:%Y-%m}" if first.day == 1 and (first.year, first.month) == (last.year, last.month) else f"{first}-to-{last}"
