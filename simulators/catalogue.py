"""Makers, models and names from which the simulated city is dealt; serial numbers and keepers are invented."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simulators.grid import COLUMNS, ROWS, Place

OWNER: Final = "聊城市城市管理局(模拟)"
MAINTAINERS: Final = ("水城智安运维公司(模拟)", "鲁西弱电工程公司(模拟)", "运河信息技术公司(模拟)")
NORTH_SOUTH: Final = (
    *("昌润路", "松桂路", "育新街", "陈口路", "湖滨路", "向阳路", "花园路", "柳园路", "健康路", "振兴路", "光岳路", "站前街"),
    *("中华路", "庐山路", "华山路", "泰山路", "牡丹江路", "鸭绿江路", "松花江路", "嫩江路"),
)
EAST_WEST: Final = (
    *("南环路", "嘉明路", "湖南路", "财干路", "建设路", "利民路", "东昌路", "卫育路", "兴华路", "龙山路", "聊堂路", "北顺路"),
    *("黄河路", "长江路", "辽河路", "北环路"),
)


@dataclass(frozen=True, slots=True)
class Maker:
    """One vendor: how its devices are called and numbered. `oui`: the first half of its simulated MAC addresses, locally administered."""

    serial_format: str
    oui: str
    hardware: str
    firmwares: tuple[str, ...]
    username: str = "admin"
    bullets: tuple[str, ...] = ()
    domes: tuple[str, ...] = ()
    recorders: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()

    def models(self, kind: str) -> Sequence[str]:
        return {"camera": self.bullets, "recorder": self.recorders, "speaker": self.speakers, "switch": self.switches}[kind]

    def serial(self, chance: random.Random, number: int) -> str:
        """A serial number nobody else has: `number` is unique in the city."""
        return self.serial_format.format(
            number=number, day=f"20{chance.randint(18, 24)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
        )


VENDORS: Final[Mapping[str, Maker]] = {
    "HIKVISION": Maker(
        serial_format="DS{day}AACHSIM{number:06d}",
        oui="02:48:49",
        hardware="88",
        firmwares=("V5.7.3 build 220112", "V5.5.82 build 190909", "V5.7.15 build 230313"),
        bullets=("DS-2CD2T47G2-L", "DS-2CD3T86FWDV2-I5S", "DS-2CD2012-I"),
        domes=("DS-2DE4425IW-DE", "DS-2DF8442IXS-AELW"),
        recorders=("DS-7616NI-K2", "DS-8616N-R8"),
        speakers=("DS-QAZ1325G1T",),
    ),
    "Dahua": Maker(
        serial_format="SIM{number:06d}PAJ{day}",
        oui="02:44:48",
        hardware="1.00",
        firmwares=("2.840.0000000.18.R, Build Date: 2022-03-01", "2.622.0000000.37.R, Build Date: 2019-08-12"),
        bullets=("DH-IPC-HFW5442E-ZE", "DH-IPC-HFW2431S-S-S2"),
        domes=("DH-SD49425XB-HNR",),
        recorders=("DHI-NVR5216-16P-4KS2E",),
        speakers=("DH-VCS-SH30",),
    ),
    "AXIS": Maker(
        serial_format="ACCC8E{number:06X}",
        oui="02:41:58",
        hardware="6F5",
        firmwares=("10.12.182", "9.80.3.1"),
        username="root",
        bullets=("P1448-LE", "P3245-LVE"),
        domes=("Q6045-E", "Q6075-E"),
        speakers=("C1310-E", "C3003-E"),
    ),
    "UNIVIEW": Maker(
        serial_format="210235SIM{number:06d}",
        oui="02:55:4e",
        hardware="A",
        firmwares=("GIPC-B6202.6.22.200413", "IPC_D1209-B0010P90"),
        bullets=("IPC2324LBR3-SP-D", "IPC2122LB-SF28-A"),
        domes=("IPC6412LR-X5P",),
        recorders=("NVR302-16S2",),
        speakers=("IPA-S30",),
    ),
    "Fanvil": Maker(
        serial_format="0c383e{number:06x}",
        oui="02:0c:38",
        hardware="1.0",
        firmwares=("2.12.44", "2.8.2.0"),
        speakers=("PA3", "PA2S"),
    ),
    "H3C": Maker(
        serial_format="219801A1SIM{number:06d}",
        oui="02:48:33",
        hardware="VER.A",
        firmwares=("7.1.070 Release 6352P02",),
        switches=("IE4320-10S", "S5130S-10P-HPWR-EI"),
        aggregation=("S5560S-28F-EI",),
    ),
    "Huawei": Maker(
        serial_format="2102350SIM{number:06d}",
        oui="02:48:57",
        hardware="V2R20",
        firmwares=("V200R020C10SPC500",),
        switches=("S5735-L8P4X-IA1", "AR502H-5G"),
        aggregation=("S5735-S24T4X",),
    ),
}

TELEPHONES: Final = "Fanvil"
"""Whose loudspeakers are telephones."""

MAKERS: Final[Mapping[str, tuple[Sequence[str], Sequence[int]]]] = {
    "camera": (("HIKVISION", "Dahua", "AXIS", "UNIVIEW"), (50, 25, 5, 20)),
    "recorder": (("HIKVISION", "Dahua", "UNIVIEW"), (60, 25, 15)),
    "speaker": (("HIKVISION", "Dahua", "AXIS", "UNIVIEW"), (40, 20, 20, 20)),
    "switch": (("H3C", "Huawei"), (60, 40)),
}
"""Who makes devices of a kind, with weights."""


def junction_names(places: Sequence[Place]) -> list[str]:
    """The nearest crossing of each place; a crossing met again gets a number."""
    names, seen = [], dict[str, int]()
    for place in places:
        road = NORTH_SOUTH[place.column * len(NORTH_SOUTH) // COLUMNS]
        crossing = f"{road}与{EAST_WEST[place.row * len(EAST_WEST) // ROWS]}路口".replace("路路口", "路口").replace("街路口", "街口")
        seen[crossing] = seen.get(crossing, 0) + 1
        names.append(crossing if seen[crossing] == 1 else f"{crossing}{seen[crossing]}号点")
    return names
