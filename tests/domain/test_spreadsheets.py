import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.spreadsheets import guarded, unguarded


@pytest.mark.parametrize("sign", "=+-@\t\r\n＝＋－＠")
def test_no_cell_begins_like_a_formula(sign: str) -> None:
    assert guarded(f"{sign}1+1") == f"'{sign}1+1"


@given(st.text(st.sampled_from("'=＝\n-a中"), max_size=6))
def test_what_is_guarded_reads_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
