import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.spoken import Script, clean, in_characters, runs, said_in_chinese


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  请勿\n占道经营 ", "请勿; 占道经营"),
        ("--version please", "version please"),
        ("<speak>stop<break time='9s'/></speak>", "speak stop break time '9s'/ /speak"),
        ("[[h@l'oU]] now", "h@l'oU now".replace("@", " ")),
        ("a\x01\x1b[31mb\u202ec\u200bd", "a 31mb c d"),
        ("Ａ座１２号！", "A座12号！"),
        ("👮🚗 !!!", ""),
        ("$(reboot); `id`", "$(reboot); id"),
        ("3~5分钟", "3至5分钟"),
        ("3 ～ 5 minutes", "3 to 5 minutes"),
        ("", ""),
    ],
)
def test_what_is_no_speech_is_taken_out(text: str, said: str) -> None:
    assert clean(text) == said


@given(st.text(max_size=300))
def test_whatever_comes_what_is_said_has_no_sign_for_an_engine_in_it(text: str) -> None:
    said = clean(text)
    assert not said or said.isprintable()
    assert not said.startswith("-")
    assert not set(said) & set('<>&[]{}|\\^`~"\x00\n')
    assert all(unicodedata.category(character)[0] != "C" for character in said)
    assert clean(said) == said
    for run in runs(said) if said else []:
        assert said_in_chinese(run.text).strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("京A12345请立即驶离", "京 A 一 二 三 四 五 请立即驶离"),
        ("沪b·D1234f请挪车", "沪 B D 一 二 三 四 F 请挪车"),
        ("罚款20000元", "罚款二万元"),
        ("罚款200元", "罚款二百元"),
        ("第105号", "第一百零五号"),
        ("拨打12345", "拨打一二三四五"),
        ("12319热线", "一二三一九热线"),
        ("电话：13800138000", "电话：一三八零零一三八零零零"),
        ("2026年11月25日", "二零二六年十一月二十五日"),
        ("7:05至22:00禁止停车", "七点零五分至二十二点禁止停车"),
        ("超过3.5米", "超过三点五米"),
        ("50%的路面", "百分之五十的路面"),
        ("123456789012", "一二三四五六七八九零一二"),
        ("007", "零零七"),
        ("罚款￥200", "罚款二百元"),
        ("罚款￥50元", "罚款五十元"),
        ("25日-27日", "二十五日至二十七日"),
        ("7:00-22:00", "七点至二十二点"),
        ("0635-82312345", "零六三五 八二三一二三四五"),
    ],
)
def test_numbers_are_written_as_people_say_them(text: str, said: str) -> None:
    assert said_in_chinese(text) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "零"), (10, "十"), (19, "十九"), (110, "一百一十"), (1001, "一千零一"), (1010, "一千零一十"), (10_001, "一万零一"),
     (12_345, "一万二千三百四十五"), (100_000, "十万"), (20_500, "二万零五百"), (99_999_999, "九千九百九十九万九千九百九十九")],
)  # fmt: skip
def test_amounts_are_said_by_their_value(number: int, said: str) -> None:
    assert in_characters(number) == said


@given(st.integers(0, 10**8 - 1))
def test_every_amount_can_be_counted_back(number: int) -> None:
    assert _value(in_characters(number)) == number


def _value(said: str) -> int:
    high, ten_thousands, low = said.rpartition("万")
    return (_value(high) * 10_000 if ten_thousands else 0) + _below(low)


def _below(said: str) -> int:
    total, digit = 0, 1 if said.startswith("十") else 0
    for character in said:
        if character in "十百千":
            total, digit = total + digit * 10 ** ("十百千".index(character) + 1), 0
        else:
            digit = "零一二三四五六七八九".index(character)
    return total + digit


def test_words_in_another_script_are_a_run_of_their_own_and_abbreviations_are_not() -> None:
    assert runs("请勿停车 No parking, please! 谢谢") == [
        (Script.HAN, "请勿停车 "),
        (Script.LATIN, "No parking, please! "),
        (Script.HAN, "谢谢"),
    ]
    assert runs("京A12345停在B2层LED屏前") == [(Script.HAN, "京A12345停在B2层LED屏前")]
    assert runs("限速30km/h, 宽2 m, 35℃") == [(Script.HAN, "限速30公里每小时, 宽2米, 35摄氏度")]
    assert runs("No parking") == [(Script.LATIN, "No parking")]
