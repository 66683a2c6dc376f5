"""The simulated city as data: which devices hang where, planned from a seed and kept in `city.json`."""

import hashlib
import json
import math
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

from simulators import catalogue
from simulators.grid import Grid, Place

H265_SHARE: Final = 0.3
"""Of the cameras with Media2."""
CARD_SHARE: Final = 0.15
"""Of all cameras, have a card, with footage of the last days and a recording called so."""
CARD_DAYS: Final = 7
CARD_RECORDING: Final = "OnvifRecordingToken_1"
CHANNELS_A_RECORDER: Final = 16
CLIPS_PERCENT: Final = 40
"""Loudspeakers new enough for Media2 audio clips."""
GROUPS_AN_AGGREGATION: Final = 19
GROUPS_A_RECORDER: Final = 6.9
"""759 groups share 110 recorders."""
CAMERAS_IN_GROUPS: Final = (1, 2, 2, 3, 2, 1, 2, 3, 4, 2, 2, 3, 1, 2, 2, 3, 4, 2, 1, 3)
"""How many cameras twenty groups carry: 2.25 a group."""
FIRST_ADDRESS: Final = {"camera": (16, 0), "speaker": (32, 0), "recorder": (48, 0), "switch": (64, 0)}
"""Second and third octet of the first 127.x address of each kind; the whole plan stays inside 127.16.0.0-127.95.255.255."""
ADDRESSES: Final = 16 * 65536
"""How many addresses lie between the first of one kind and the first of the next."""
Parameters = Mapping[str, bool | int | float | str]
Outages = tuple[tuple[float, float], ...]
NO_PARAMETERS: Final[Parameters] = {}
GB_TYPE: Final = {"camera": "132", "speaker": "137", "recorder": "118"}
"""Type codes of GB/T 28181-2022 annex E: network camera, audio output device, NVR. Switches have no such id."""


@dataclass(frozen=True, slots=True)
class Snmp:
    """How a device answers SNMP. v2c uses `community`; v3 the USM user with its keys and the device's own `engine_id` (hex).

    `write_community`: who knows it may switch the ports of a switch; a v3 user of a switch may.
    """

    version: str = "v2c"
    community: str = ""
    user: str = ""
    auth_protocol: str = ""
    auth_key: str = ""
    priv_protocol: str = ""
    priv_key: str = ""
    engine_id: str = ""
    write_community: str = ""


@dataclass(frozen=True, slots=True)
class SimChannel:
    """One channel of a recorder, or of a camera's card. A `gappy` one has holes in its footage (`simulators.footage`)."""

    number: int
    camera: str
    token: str
    gappy: bool = False


@dataclass(frozen=True, slots=True)
class SimDevice:
    """One simulated device with everything true about it, secrets included.

    `auth`: "wsse" (WS-UsernameToken) or "digest" (HTTP digest only). `rtsp_algorithm`: "MD5", "SHA-256", or "Basic" for no digest.
    `audio`: RTP encodings that its loudspeaker takes, best first. `clock_offset_s`: its clock minus ours.
    `lacks`: optional parts of the standard that it does not have: "get-services", "media2", "backchannel", "audio-clips",
    "onvif" with all of HTTP and RTSP.
    `sip_user`: the user part of its address where it takes calls (SIP), "" when it is no telephone; one that lacks "onvif" is nothing else.
    `recording`: the folder of recorded answers that it plays (`simulators.recorded`), `snmprec`: the recorded walk; "" for neither.
    `quirks`: switches of the quirk book (`configs/quirks.yaml`), each with its parameters.
    `outages`: from when until when it recorded nothing, by its own clock in seconds since the epoch, in order; the last may be open (inf).
    """

    id: str
    kind: str
    name: str
    address: str
    group: str = ""
    latitude: float = 0.0
    longitude: float = 0.0
    owner: str = ""
    management_unit: str = ""
    maintainer: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    hardware: str = ""
    mac: str = ""
    profile: str = ""
    gb28181_id: str = ""
    uplink: str = ""
    uplink_port: int = 0
    username: str = ""
    password: str = ""
    auth: str = "wsse"
    rtsp_algorithm: str = "MD5"
    snmp: Snmp | None = None
    ptz: bool = False
    codec: str = "H264"
    audio: tuple[str, ...] = ()
    audio_output_of: str = ""
    sip_user: str = ""
    horns: int = 0
    channels: tuple[SimChannel, ...] = ()
    retention_days: int = 0
    clock_offset_s: float = 0.0
    lacks: tuple[str, ...] = ()
    recording: str = ""
    snmprec: str = ""
    quirks: Mapping[str, Parameters] = field(default_factory=dict, hash=False)
    outages: Outages = ()

    @property
    def card(self) -> bool:
        """Whether it is a camera that keeps footage itself, on a card: its one channel is its own picture."""
        return self.kind == "camera" and bool(self.channels)

    def channel(self, token: str) -> SimChannel | None:
        """The channel whose recording is called `token`."""
        return next((channel for channel in self.channels if channel.token == token), None)


@dataclass(frozen=True, slots=True)
class SimGroup:
    """监控组: a pole or junction."""

    id: str
    name: str
    latitude: float
    longitude: float
    street: str
    district: str


@dataclass(frozen=True, slots=True)
class SimZone:
    """A named set of loudspeakers."""

    id: str
    name: str
    speakers: tuple[str, ...]


@dataclass(frozen=True)
class City:
    """All devices of the city and the one port per protocol on which they are served."""

    seed: int
    http_port: int
    rtsp_port: int
    snmp_port: int
    groups: tuple[SimGroup, ...]
    devices: tuple[SimDevice, ...]
    zones: tuple[SimZone, ...] = field(default=())
    https_port: int = 0
    """The port of the same over TLS, 0 for none."""
    sip_port: int = 0
    """The port on which horns are called, 0 for none."""
    traps: str = ""
    """HOST:PORT on loopback to which the devices send their SNMP notifications, "" for nowhere."""

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a `city.json`. Raises OSError, or ValueError when the file is not one of ours."""
        raw = json.loads(Path(path).read_bytes())
        try:
            return cls(
                **{name: int(raw[name]) for name in ("seed", "http_port", "rtsp_port", "snmp_port")},
                groups=tuple(SimGroup(**row) for row in raw["groups"]),
                devices=tuple(_device(row, Path(path).parent) for row in raw["devices"]),
                zones=tuple(SimZone(row["id"], row["name"], tuple(row["speakers"])) for row in raw["zones"]),
                https_port=int(raw.get("https_port", 0)),
                sip_port=int(raw.get("sip_port", 0)),
                traps=raw.get("traps", ""),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a city file: {error}") from error

    def save(self, path: Path) -> None:
        """Write what `load` reads: the whole truth, secrets included, a row a line; the same city gives the same bytes."""
        head: dict[str, int | str] = {
            "seed": self.seed,
            "http_port": self.http_port,
            "rtsp_port": self.rtsp_port,
            "snmp_port": self.snmp_port,
        }
        if self.https_port:
            head["https_port"] = self.https_port
        if self.sip_port:
            head["sip_port"] = self.sip_port
        if self.traps:
            head["traps"] = self.traps
        tables: dict[str, Sequence[SimGroup | SimZone | SimDevice]] = {"groups": self.groups, "zones": self.zones, "devices": self.devices}
        parts = [f'"{name}":[\n' + ",\n".join(_json_row(row) for row in rows) + "\n]" for name, rows in tables.items()]
        path.write_text(json.dumps(head)[:-1] + ",\n" + ",\n".join(parts) + "}\n", encoding="utf-8")

    def by_address(self, address: str) -> SimDevice | None:
        return self._by_address.get(address)

    def by_id(self, device_id: str) -> SimDevice | None:
        return self._by_id.get(device_id)

    def of_kind(self, kind: str) -> list[SimDevice]:
        return [device for device in self.devices if device.kind == kind]

    def audio_output(self, camera_id: str) -> SimDevice | None:
        """The loudspeaker that is this camera's audio output."""
        return self._audio_outputs.get(camera_id)

    def children(self, device_id: str) -> Sequence[SimDevice]:
        """What hangs on a switch, in the order of its ports."""
        return self._children.get(device_id, ())

    @cached_property
    def _by_address(self) -> Mapping[str, SimDevice]:
        return {device.address: device for device in self.devices}

    @cached_property
    def _by_id(self) -> Mapping[str, SimDevice]:
        return {device.id: device for device in self.devices}

    @cached_property
    def _audio_outputs(self) -> Mapping[str, SimDevice]:
        return {device.audio_output_of: device for device in self.devices if device.audio_output_of}

    @cached_property
    def _children(self) -> Mapping[str, Sequence[SimDevice]]:
        children: dict[str, list[SimDevice]] = {}
        for device in self.devices:
            children.setdefault(device.uplink, []).append(device)
        return {uplink: sorted(found, key=lambda child: child.uplink_port) for uplink, found in children.items()}


def _device(row: dict[str, Any], folder: Path) -> SimDevice:
    """The device of a row; what it plays of recordings lies beside the city's file unless it says otherwise."""
    for name in ("recording", "snmprec"):
        if row.get(name):
            row[name] = str(folder / row[name])
    row["channels"] = tuple(SimChannel(**channel) for channel in row.get("channels", ()))
    row["snmp"] = Snmp(**row["snmp"]) if row.get("snmp") else None
    for name in ("audio", "lacks"):
        row[name] = tuple(row.get(name, ()))
    return SimDevice(**row)


def _json_row(row: SimDevice | SimGroup | SimZone) -> str:
    return json.dumps({name: value for name, value in asdict(row).items() if value or name in _ALWAYS}, ensure_ascii=False)


_ALWAYS: Final = frozenset({"speakers", "street", "district", "latitude", "longitude"})
"""Fields that are written even when empty: they have no default."""


# -- planning ---------------------------------------------------------------------------------------------------------


def plan(
    *,
    seed: int = 1,
    groups: int = 759,
    speakers: int = 110,
    http_port: int = 18080,
    rtsp_port: int = 18554,
    snmp_port: int = 18161,
    sip_port: int = 18560,
    telephones: int = 0,
) -> City:
    """A city of `groups` camera groups and `speakers` loudspeakers, with the recorders and switches they need.

    `telephones`: so many of the loudspeakers are horns that speak SIP and nothing else but SNMP.

    The same arguments give the same city.
    """
    if groups < 1 or speakers < 0:
        raise ValueError("a city has at least one group and no negative number of speakers")
    planned, devices, zones = _Planner(
        random.Random(seed), groups, codecs=random.Random(f"{seed}/codecs"), cards=random.Random(f"{seed}/cards")
    ).city(speakers)
    city = City(seed, http_port, rtsp_port, snmp_port, planned, devices, zones)
    return _with_telephones(city, telephones, sip_port) if telephones else city


def _with_telephones(city: City, count: int, port: int) -> City:
    """Every so many-th loudspeaker that is nobody's audio output made a SIP horn."""
    free = [device for device in city.of_kind("speaker") if not device.audio_output_of]
    if count > len(free):
        raise ValueError(f"only {len(free)} of the loudspeakers can be telephones")
    chosen = {free[index * len(free) // count].id for index in range(count)}
    return replace(city, sip_port=port, devices=tuple(_telephone(device) if device.id in chosen else device for device in city.devices))


def _telephone(speaker: SimDevice) -> SimDevice:
    maker = catalogue.VENDORS[catalogue.TELEPHONES]
    number = zlib.crc32(speaker.id.encode())
    return replace(
        speaker,
        vendor=catalogue.TELEPHONES,
        model=maker.speakers[number % len(maker.speakers)],
        firmware=maker.firmwares[number % len(maker.firmwares)],
        hardware=maker.hardware,
        mac=maker.oui + speaker.mac[8:],
        serial=(maker.oui + speaker.mac[8:]).replace(":", ""),
        username=maker.username,
        sip_user=speaker.id.lower().replace("-", ""),
        lacks=("onvif",),
        profile="",
    )


class _Planner:
    """Deals out places, addresses and secrets from one random source, always in the same order."""

    def __init__(self, chance: random.Random, groups: int, *, codecs: random.Random, cards: random.Random) -> None:
        self._chance, self._codecs, self._cards = chance, codecs, cards
        self._next_address = {kind: second * 65536 + third * 256 for kind, (second, third) in FIRST_ADDRESS.items()}
        self._next_serial = 0
        self._district_of: dict[str, Place] = {}
        places = Grid().sample(chance, groups)
        names = catalogue.junction_names(places)
        self.groups = tuple(
            SimGroup(f"G-{number:04d}", name, place.latitude, place.longitude, place.street, place.district)
            for number, (place, name) in enumerate(zip(places, names, strict=True), start=1)
        )
        self._district_of = {group.id: place for group, place in zip(self.groups, places, strict=True)}

    def city(self, speakers: int) -> tuple[tuple[SimGroup, ...], tuple[SimDevice, ...], tuple[SimZone, ...]]:
        aggregation, switches = self._switches()
        cameras = [camera for group, count in self._camera_counts() for camera in self._cameras(group, count)]
        horns = self._speakers(speakers, {camera.group: camera for camera in reversed(cameras)})
        recorders = self._recorders(cameras, {switch.group: switch.uplink for switch in switches})
        return self.groups, (*cameras, *horns, *recorders, *switches, *aggregation), tuple(self._zones(horns))

    def _camera_counts(self) -> Iterator[tuple[SimGroup, int]]:
        counts = [CAMERAS_IN_GROUPS[index % len(CAMERAS_IN_GROUPS)] for index in range(len(self.groups))]
        self._chance.shuffle(counts)
        return zip(self.groups, counts, strict=True)

    def _cameras(self, group: SimGroup, count: int) -> Iterator[SimDevice]:
        for number in range(1, count + 1):
            ptz = number == 2
            camera = self._device(
                "camera", f"CAM-{group.id[2:]}-{number}", f"{group.name}{number}号{'球机' if ptz else '枪机'}", group=group
            )
            yield replace(
                camera,
                uplink=f"SW-{group.id[2:]}",
                uplink_port=number,
                ptz=ptz,
                **self._card(camera.id),
                model=self._chance.choice(catalogue.VENDORS[camera.vendor].domes if ptz else catalogue.VENDORS[camera.vendor].bullets),
                auth="digest" if self._chance.random() < 0.06 else "wsse",
                **self._ways(),
            )

    def _ways(self) -> dict[str, Any]:
        """Codec and missing services: H.265 is a word that only Media2 knows."""
        codec, lacks = "H265" if self._codecs.random() < H265_SHARE else "H264", self._lacks()
        return {"codec": "H264" if "media2" in lacks else codec, "lacks": lacks}

    def _card(self, camera: str) -> dict[str, Any]:
        """What a camera with a card keeps; nothing for the others."""
        dealt, gappy = self._cards.random() < CARD_SHARE, self._cards.random() < 0.3
        return {"channels": (SimChannel(1, camera, CARD_RECORDING, gappy),), "retention_days": CARD_DAYS} if dealt else {}

    def _lacks(self) -> tuple[str, ...]:
        roll = self._chance.random()
        return ("get-services", "media2") if roll < 0.04 else ("media2",) if roll < 0.2 else ()

    def _speakers(self, count: int, first_camera: Mapping[str, SimDevice]) -> list[SimDevice]:
        order = self._chance.sample(range(len(self.groups)), len(self.groups))
        chosen = sorted((order[index % len(order)], index // len(order)) for index in range(count))
        return [self._speaker(number, self.groups[index], round_, first_camera) for number, (index, round_) in enumerate(chosen, start=1)]

    def _speaker(self, number: int, group: SimGroup, round_: int, first_camera: Mapping[str, SimDevice]) -> SimDevice:
        speaker = self._device("speaker", f"SPK-{number:04d}", f"{group.name}音柱{round_ + 1 if round_ else ''}", group=group)
        return replace(
            speaker,
            uplink=f"SW-{group.id[2:]}",
            uplink_port=5 + round_,
            audio=self._chance.choice((("PCMA", "PCMU"), ("PCMU", "PCMA"), ("PCMU",), ("PCMA",))),
            audio_output_of=first_camera[group.id].id if number % 14 == 0 else "",
            horns=self._chance.choice((1, 1, 2, 2, 4)),
            snmp=self._snmp(speaker, v3_share=0.2),
            lacks=() if zlib.crc32(speaker.serial.encode()) % 100 < CLIPS_PERCENT else ("audio-clips",),
        )

    def _recorders(self, cameras: Sequence[SimDevice], aggregation_of: Mapping[str, str]) -> list[SimDevice]:
        count = max(math.ceil(len(cameras) / CHANNELS_A_RECORDER), round(len(self.groups) / GROUPS_A_RECORDER), 1)
        by_place = sorted(cameras, key=lambda camera: (aggregation_of[camera.group], camera.id))
        shares = [by_place[len(by_place) * index // count : len(by_place) * (index + 1) // count] for index in range(count)]
        ports: dict[str, int] = {}
        recorders = []
        for number, share in enumerate((share for share in shares if share), start=1):
            uplink = aggregation_of[share[0].group]
            ports[uplink] = ports.get(uplink, GROUPS_AN_AGGREGATION) + 1
            recorders.append(self._recorder(number, share, uplink=uplink, port=ports[uplink]))
        return recorders

    def _recorder(self, number: int, cameras: Sequence[SimDevice], *, uplink: str, port: int) -> SimDevice:
        home = next(group for group in self.groups if group.id == cameras[0].group)
        recorder = self._device("recorder", f"NVR-{number:04d}", f"{home.street}录像机{number}", group=home)
        return replace(
            recorder,
            group="",
            uplink=uplink,
            uplink_port=port,
            channels=tuple(
                SimChannel(index, camera.id, f"rec-{index:02d}", self._chance.random() < 0.2)
                for index, camera in enumerate(cameras, start=1)
            ),
            retention_days=30,
            snmp=self._snmp(recorder, v3_share=0.0),
        )

    def _switches(self) -> tuple[list[SimDevice], list[SimDevice]]:
        in_place_order = sorted(self.groups, key=lambda group: (round(group.latitude, 2), group.longitude))
        chunks = [in_place_order[start : start + GROUPS_AN_AGGREGATION] for start in range(0, len(in_place_order), GROUPS_AN_AGGREGATION)]
        aggregation = [self._aggregation(number, chunk[0]) for number, chunk in enumerate(chunks, start=1)]
        uplinks = {
            group.id: (switch.id, port)
            for switch, chunk in zip(aggregation, chunks, strict=True)
            for port, group in enumerate(chunk, start=1)
        }
        return aggregation, [self._group_switch(group, *uplinks[group.id]) for group in self.groups]

    def _aggregation(self, number: int, home: SimGroup) -> SimDevice:
        switch = self._device("switch", f"AGG-{number:02d}", f"{home.street}汇聚交换机{number}", group=home)
        model = self._chance.choice(catalogue.VENDORS[switch.vendor].aggregation)
        return replace(switch, group="", model=model, snmp=self._snmp(switch, v3_share=0.3))

    def _group_switch(self, group: SimGroup, uplink: str, port: int) -> SimDevice:
        switch = self._device("switch", f"SW-{group.id[2:]}", f"{group.name}交换机", group=group)
        return replace(switch, uplink=uplink, uplink_port=port, snmp=self._snmp(switch, v3_share=0.15))

    def _zones(self, speakers: Sequence[SimDevice]) -> Iterator[SimZone]:
        members: dict[str, list[str]] = {}
        for speaker in speakers:
            place = self._district_of[speaker.group]
            members.setdefault(place.district, []).append(speaker.id)
            members.setdefault(place.street, []).append(speaker.id)
        for number, name in enumerate(sorted(members), start=1):
            yield SimZone(f"Z-{number:02d}", f"{name}广播分区", tuple(members[name]))

    def _device(self, kind: str, device_id: str, name: str, *, group: SimGroup) -> SimDevice:
        """What every kind has: place, address, keepers, maker and login."""
        vendor = self._chance.choices(catalogue.MAKERS[kind][0], catalogue.MAKERS[kind][1])[0]
        maker = catalogue.VENDORS[vendor]
        place = self._district_of[group.id]
        self._next_serial += 1
        return SimDevice(
            id=device_id,
            kind=kind,
            name=name,
            address=self._address(kind),
            group=group.id,
            latitude=round(group.latitude + self._chance.uniform(-1e-4, 1e-4), 6),
            longitude=round(group.longitude + self._chance.uniform(-1e-4, 1e-4), 6),
            owner=catalogue.OWNER,
            management_unit=f"{group.district}城市管理指挥中心",
            maintainer=self._chance.choice(catalogue.MAINTAINERS),
            vendor=vendor,
            model=self._chance.choice(maker.models(kind)),
            serial=maker.serial(self._chance, self._next_serial),
            firmware=self._chance.choice(maker.firmwares),
            hardware=maker.hardware,
            mac=f"{maker.oui}:{self._next_serial >> 16 & 255:02x}:{self._next_serial >> 8 & 255:02x}:{self._next_serial & 255:02x}",
            profile="switch" if kind == "switch" else "",
            gb28181_id=f"{place.district_code}0100{GB_TYPE[kind]}0{self._next_serial:06d}" if kind in GB_TYPE else "",
            username="" if kind == "switch" else maker.username,
            password="" if kind == "switch" else self._secret(12),
            rtsp_algorithm="SHA-256" if self._chance.random() < 0.2 else "MD5",
            clock_offset_s=round(self._chance.gauss(0, 0.3), 3),
        )

    def _address(self, kind: str) -> str:
        self._next_address[kind] += 1
        if self._next_address[kind] - FIRST_ADDRESS[kind][0] * 65536 >= ADDRESSES:
            raise ValueError(f"the address plan has room for {ADDRESSES} addresses of a kind")
        if self._next_address[kind] & 255 == 255:
            self._next_address[kind] += 2  # no host part of all ones or all zeros, as in a plan on paper
        value = self._next_address[kind]
        return f"127.{value >> 16}.{value >> 8 & 255}.{value & 255}"

    def _snmp(self, device: SimDevice, *, v3_share: float) -> Snmp:
        engine_id = "80001f8804" + device.serial.encode().hex()[:40]  # RFC 3411: enterprise number, format 4 (text)
        if self._chance.random() >= v3_share:
            community = self._secret(10)
            write = hashlib.sha256(f"{device.id}/{community}".encode()).hexdigest()[:12] if device.kind == "switch" else ""
            return Snmp(community=community, engine_id=engine_id, write_community=write)
        user = f"gw{device.id.lower().replace('-', '')}"
        return Snmp("v3", "", user, "SHA", self._secret(16), "AES128", self._secret(16), engine_id)

    def _secret(self, length: int) -> str:
        return "".join(self._chance.choices("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=length))
