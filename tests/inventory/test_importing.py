"""Reading files: every format gives the same rows, with places that a person finds; what is not a file is refused with its line."""

import asyncio
import io

import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.inventory.aside import read_aside
from gateway.inventory.importing import MAX_BYTES, read
from gateway.inventory.raw import Noun
from tests.inventory.files import CITY


def refused(data: bytes, name: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(data, name)
    faults = "; ".join(f"{fault.where}: {fault.why}" for fault in caught.value.faults)
    assert faults not in str(caught.value) or not faults  # whoever prints both says nothing twice
    return f"{caught.value}: {faults}"


def workbook(**sheets: list[list[object]]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return out.getvalue()


def test_yaml_rows_carry_the_line_on_which_they_begin() -> None:
    found = read(CITY.encode(), "city.YAML")
    assert found.coordinates == "WGS-84"
    assert found.nouns == {Noun.GROUPS, Noun.DEVICES, Noun.CHANNELS, Noun.ZONES}
    assert [(row.text("id"), row.where) for row in found.of(Noun.DEVICES)][:3] == [
        ("SW-1", "line 6"),
        ("CAM-1", "line 7"),
        ("SPK-1", "line 9"),
    ]


def test_yaml_scalars_stay_as_they_are_written() -> None:
    row = next(read(b"devices: [{id: 0771, serial: 1e5, name: yes, owner: ~, vendor: '~', horns: null}]", "a.yaml").of(Noun.DEVICES))
    assert [row.text(name) for name in ("id", "serial", "name", "owner", "vendor", "horns")] == ["0771", "1e5", "yes", "", "~", ""]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a mapping"),
        ("- a", "line 1: expected a mapping"),
        ("groups: []\nfleet: []", "line 2: unknown key 'fleet'"),
        ("groups: []\ngroups: []", "line 2: 'groups' stands twice"),
        ("groups: {}", "line 1: 'groups' must be a list"),
        ("groups:\n  - id", "line 2: an entry of 'groups' must be a mapping"),
        ("groups:\n  - {id: a,\n     id: b}", "line 3: 'id' stands twice"),
        ("groups:\n  - {id: {a: b}}", "line 2: 'id' must be a value"),
        ("zones:\n  - {speakers: [[a]]}", "line 2: 'speakers' must hold plain values"),
        ("groups:\n  - &a {id: x}\n  - *a", "line 3: aliases are not taken"),
        ("version: 2", "version '2' is not known"),
        ("groups: []\n---\ngroups: []", "line 2: expected one document"),
        ("groups:\n\t- a", "line 2:"),
        ("groups: [" + "[" * 50_000, "line 1: an entry"),
    ],
)
def test_a_yaml_file_of_another_shape_is_refused_with_its_line(text: str, why: str) -> None:
    assert why in refused(text.encode(), "city.yaml")


def test_csv_rows_carry_their_line_even_after_a_cell_of_several_lines() -> None:
    text = '# coordinates: GCJ-02\nid,kind,name,address\nA,camera,"one\ntwo",10.0.0.1\n\nB,camera,b,10.0.0.2\n'
    found = read(text.encode("utf-8-sig"), "devices.csv")
    assert (found.coordinates, found.nouns) == ("GCJ-02", {Noun.DEVICES})
    assert [(row.text("id"), row.where) for row in found.rows] == [("A", "line 3"), ("B", "line 6")]


def test_csv_of_a_chinese_spreadsheet_is_read_in_its_own_encoding() -> None:
    found = read("id,name\nG-1,人民路口\n".encode("gb18030"), "groups.csv")
    assert [(row.noun, row.text("name")) for row in found.rows] == [(Noun.GROUPS, "人民路口")]


def test_one_csv_may_hold_all_nouns_by_a_column() -> None:
    found = read(b"noun,id,name,speakers\ngroups,G,g,\nzones,Z,z,A B\n", "all.csv")
    assert [(row.noun, dict(row.values)) for row in found.rows] == [
        (Noun.GROUPS, {"id": "G", "name": "g"}),
        (Noun.ZONES, {"id": "Z", "name": "z", "speakers": "A B"}),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"id,id\na,b\n", "line 1: column 'id' stands twice"),
        (b"id;name\na;b\n", "line 1: the columns are separated by semicolons: separate them by commas"),
        (b"id\tname\na\tb\n", "line 1: the columns are separated by tabs"),
        (b"id,\na,b\n", "line 1: the header has an empty column name"),
        (b"id,name\na,b,c\n", "line 2: 3 cells under 2 columns"),
        (b'id,name\na,"b\n', "line 2"),
        (b"noun,id\nfleet,b\n", "line 2: noun 'fleet'"),
        (b"id\n\xff\xff\n", "neither UTF-8 nor GB18030"),
    ],
)
def test_a_csv_file_that_does_not_hold_together_is_refused_with_its_line(data: bytes, why: str) -> None:
    assert why in refused(data, "devices.csv")


def test_xlsx_has_a_sheet_a_noun_and_names_sheet_and_row() -> None:
    data = workbook(
        file=[["coordinates", "BD-09"]], devices=[["id", "onvif_port", "enabled"], ["A", 80, True], ["", "", ""], ["B", 81, False]]
    )
    found = read(data, "city.xlsx")
    assert (found.coordinates, found.nouns) == ("BD-09", {Noun.DEVICES})
    assert [(row.text("id"), row.text("onvif_port"), row.text("enabled"), row.where) for row in found.rows] == [
        ("A", "80", "true", "sheet devices, row 2"),
        ("B", "81", "false", "sheet devices, row 4"),
    ]


def test_a_workbook_with_unknown_sheets_or_none_at_all_is_refused() -> None:
    assert "unknown sheets" in refused(workbook(fleet=[["id"]]), "city.xlsx")
    assert "not a readable workbook" in refused(b"PK\x03\x04 nothing", "city.xlsx")


@pytest.mark.parametrize("name", ["city.txt", "city", "city.yaml.exe"])
def test_an_unknown_kind_of_file_is_refused(name: str) -> None:
    assert "no reader for" in refused(b"", name)


def test_a_file_that_is_too_large_is_refused_before_it_is_looked_at() -> None:
    assert "at most" in refused(b"\0" * (MAX_BYTES + 1), "city.yaml")


@given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.csv", "a.xlsx", "a.geojson"]))
def test_noise_is_read_or_refused_and_nothing_else(data: bytes, name: str) -> None:
    try:
        read(data, name)
    except InvalidInput as error:
        assert error.faults


async def test_a_file_is_read_the_same_in_a_process_of_its_own() -> None:
    assert await read_aside(CITY.encode(), "city.yaml") == read(CITY.encode(), "city.yaml")


async def test_a_refusal_comes_back_from_the_other_process_whole() -> None:
    with pytest.raises(InvalidInput) as caught:
        await read_aside(b"groups: {}", "city.yaml")
    assert [(fault.where, fault.why) for fault in caught.value.faults] == [("line 1", "'groups' must be a list")]
    assert caught.value.code == "unreadable"


async def test_a_file_that_is_slow_to_read_is_given_up() -> None:
    with pytest.raises(InvalidInput, match="took more than"):
        await read_aside(CITY.encode(), "city.yaml", timeout_s=0.01)


async def test_two_files_are_read_side_by_side() -> None:
    found = await asyncio.gather(read_aside(CITY.encode(), "a.yaml"), read_aside(b"id,name\nG,g\n", "groups.csv"))
    assert [len(file.rows) for file in found] == [7, 1]
    assert found[1] == read(b"id,name\nG,g\n", "groups.csv")
