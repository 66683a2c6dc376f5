"""The settings, section by section, with their defaults and what must fit together."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.values import (
    MOST_ADDRESSES,
    Count,
    Days,
    Port,
    Seconds,
    Section,
    bare_endpoint,
    device_range,
    host_name,
    host_url,
    is_address,
    is_here,
    listed,
    read_secret,
    rising,
    severity_table,
    time_zone,
    with_scheme,
    without_password,
)

STORE_FILE = "gateway.db"
"""The store in the data folder, where the configuration names no other."""


class Http(Section):
    """Where the API, the console and the metrics are served."""

    host: Annotated[str, AfterValidator(host_name)] = "127.0.0.1"
    port: Port = 8080


class Mqtt(Section):
    """The broker that carries states, events and commands; without `url` the gateway does without one."""

    url: Annotated[str, AfterValidator(without_password), with_scheme("mqtt", "mqtts"), AfterValidator(host_url)] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=65)] = "city-gateway"
    prefix: Annotated[str, Field(pattern=r"^[^#+/]+(/[^#+/]+)*$")] = "gateway/v1"
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keepalive_s: Annotated[int, Field(ge=5, le=3_600)] = 30
    version: Literal["auto", "3.1.1", "5"] = "auto"
    emergencies: bool = False

    @model_validator(mode="after")
    def _together(self) -> "Mqtt":
        mistakes = {
            "password_file needs a username": self.password_file is not None and self.username is None,
            "cert_file and key_file go together": (self.cert_file is None) != (self.key_file is None),
            "ca_file needs an mqtts:// url": self.ca_file is not None and not (self.url or "").startswith("mqtts:"),
        }
        if any(mistakes.values()):
            raise ValueError("\n".join(mistake for mistake, made in mistakes.items() if made))
        return self


class SlowCheck(Section):
    """How one of the slow checks goes; what is left out is as its table has it (gateway/health/checks/table.py)."""

    enabled: bool | None = None
    interval_s: Seconds | None = None
    timeout_s: Seconds | None = None
    slots: Annotated[int, Field(ge=1, le=256)] | None = None


class Listen(Section):
    """To whose events the gateway subscribes."""

    to: Literal["off", "listed", "all"] = "listed"
    devices: tuple[str, ...] = ()
    at_most: Annotated[int, Field(ge=1, le=4_096)] = 256
    silent_s: Seconds = 600.0


class Checks(Section):
    """The checks that are made beside the visits, each at a pace of its own."""

    media: SlowCheck = SlowCheck()
    picture: SlowCheck = SlowCheck()
    recording: SlowCheck = SlowCheck()
    coverage: SlowCheck = SlowCheck()
    disk: SlowCheck = SlowCheck()
    events: SlowCheck = SlowCheck()
    ports: SlowCheck = SlowCheck()


Threshold = Annotated[int, Field(ge=1, le=100)]


class KindHealth(Section):
    """What is otherwise for devices of one kind; what is left out is as for all."""

    down_after: Threshold | None = None
    up_after: Threshold | None = None
    degraded_after: Threshold | None = None
    flap_changes: Threshold | None = None


class KindsHealth(Section):
    camera: KindHealth = KindHealth()
    speaker: KindHealth = KindHealth()
    recorder: KindHealth = KindHealth()
    switch: KindHealth = KindHealth()


class Health(Section):
    """How devices are checked and when one counts as down."""

    interval_s: Seconds = 30.0
    timeout_s: Seconds = 5.0
    sensor_interval_s: Seconds = 60.0
    down_after: Threshold = 3
    up_after: Threshold = 2
    degraded_after: Threshold = 2
    flap_changes: Threshold = 6
    flap_hold_s: Seconds = 300.0
    kinds: KindsHealth = KindsHealth()
    own_links: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,15}$")], ...] = ()
    clock_limit_s: Seconds = 5.0
    concurrency: Count = 256
    per_uplink: Count = 8
    checks: Checks = Checks()
    listen: Listen = Listen()
    picture_within_s: Seconds = 6.0
    recording_lag_s: Seconds = 3_600.0
    retention_days: Days = 30.0
    severity: Annotated[Mapping[str, str], AfterValidator(severity_table)] = Field(default_factory=dict)
    critical_from: Annotated[int, Field(ge=2, le=1_000_000)] = 10

    @model_validator(mode="after")
    def _in_time(self) -> "Health":
        if self.timeout_s >= self.interval_s:
            raise ValueError("timeout_s must be shorter than interval_s")
        return self


class Reports(Section):
    """What stands at the head of reports, and what may excuse an outage."""

    heading: Annotated[str, Field(max_length=100)] = ""
    excuses_file: Path | None = None


class Traps(Section):
    """Where SNMP traps and informs are heard; without `port` nobody listens."""

    port: Port | None = None
    host: Annotated[str, AfterValidator(host_name)] = "0.0.0.0"  # noqa: S104 -- off unless a port is named
    buffer_bytes: Annotated[int, Field(ge=65_536, le=1 << 30)] = 4 << 20
    per_device_s: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    burst: Count = 100


Steps = Annotated[tuple[float, ...], Field(max_length=10), AfterValidator(rising)]


class Escalation(Section):
    """After how long without an acknowledgement each further level of people is told, by severity; none: never."""

    critical: Steps = (300.0, 900.0)
    major: Steps = (900.0,)
    minor: Steps = ()
    warning: Steps = ()


class Incidents(Section):
    """How long is waited before many devices become one incident. What is None follows from `health.interval_s`."""

    uplink_wait_s: Seconds | None = None
    group_wait_s: Seconds | None = None
    return_grace_s: Seconds | None = None
    degraded_wait_s: Seconds | None = None
    reopen_within_s: Seconds = 600.0
    escalate_after_s: Escalation = Escalation()


class WorkTarget(Section):
    """Within how many hours a maintainer answers and repairs; around the clock, or counted in working hours."""

    response_hours: Annotated[float, Field(gt=0, le=10_000)]
    repair_hours: Annotated[float, Field(gt=0, le=10_000)]
    around_the_clock: bool


class WorkTargets(Section):
    critical: WorkTarget = WorkTarget(response_hours=1, repair_hours=8, around_the_clock=True)
    major: WorkTarget = WorkTarget(response_hours=2, repair_hours=24, around_the_clock=True)
    minor: WorkTarget = WorkTarget(response_hours=4, repair_hours=24, around_the_clock=False)
    warning: WorkTarget = WorkTarget(response_hours=8, repair_hours=72, around_the_clock=False)


class WorkOrders(Section):
    """What was agreed with the maintainers; hours are those of `timezone`."""

    work_from: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "08:30"
    work_until: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "17:30"
    work_days: tuple[Annotated[int, Field(ge=1, le=7)], ...] = (1, 2, 3, 4, 5)
    targets: WorkTargets = WorkTargets()


Pause = Annotated[float, Field(ge=0, le=86_400)]
Overridable = Literal["schedule", "notice", "enforcement", "talk"]


class CoolDown(Section):
    """How long a loudspeaker keeps silent before a broadcast of each priority; none for an emergency."""

    schedule: Pause = 60.0
    notice: Pause = 5.0
    enforcement: Pause = 0.0
    talk: Pause = 0.0


class Broadcast(Section):
    """What a voice in the street may do."""

    max_speakers_per_key: Count = 20
    max_speakers_approved: Count = 200
    approval_max_s: Annotated[float, Field(gt=0, le=3_600)] = 300.0
    duration_max_s: Annotated[float, Field(gt=0, le=3_600)] = 180.0
    per_minute: Annotated[int, Field(ge=1, le=10_000)] = 60
    repeat_s: Pause = 10.0
    cool_down_s: CoolDown = CoolDown()
    override: Annotated[tuple[Overridable, ...], BeforeValidator(listed)] = ("enforcement", "talk")
    hours_file: Path | None = None
    holidays_file: Path | None = None
    reach_m: Annotated[float, Field(ge=1, le=500)] = 100.0
    lead_in_ms: Annotated[int, Field(ge=0, le=5_000)] = 200
    not_after_max_s: Annotated[float, Field(gt=0, le=3_600)] = 60.0
    clip_max_s: Annotated[float, Field(gt=0, le=3_600)] = 120.0
    clips_mib: Annotated[int, Field(ge=1, le=1 << 20)] = 2_048
    chime_clip: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    speech_engine: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "espeak-ng"
    speech_mib: Annotated[int, Field(ge=1, le=65_536)] = 256
    talk_max_s: Annotated[float, Field(gt=0, le=600)] = 120.0
    talk_silence_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    talk_loss_s: Annotated[float, Field(ge=0.2, le=60)] = 2.0
    record_talk: bool = False
    recordings_days: Days = 90.0
    pictures_after_s: Annotated[float, Field(ge=0, le=600)] = 20.0
    pictures_days: Days = 90.0
    setup_timeout_s: Seconds = 5.0
    multicast_interface: IPv4Address | None = None
    multicast_ttl: Annotated[int, Field(ge=1, le=255)] = 4


class Sip(Section):
    """By way of whom loudspeakers that are telephones are called; without `exchange` each at its own address."""

    exchange: IPv4Address | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] = 5060
    carrier: Literal["udp", "tcp"] = "udp"
    domain: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None = None
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.!~*'()&=+$,;?/%-]{1,64}$")] | None = None
    password_file: Path | None = None
    relays_sound: bool = True

    @model_validator(mode="after")
    def _together(self) -> "Sip":
        if self.exchange is None and (self.domain or self.username or self.password_file):
            raise ValueError("domain, username and password_file belong to an exchange")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together")
        return self


_NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"
_BUCKET = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$"
_KEY_PREFIX = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*/?$"


class Destination(Section):
    """Where a package may be sent: a mounted folder, or a bucket of an S3-compatible store."""

    name: Annotated[str, Field(pattern=_NAME)]
    kind: Literal["directory", "s3"]
    path: Path | None = None
    mounted: bool = True
    endpoint: Annotated[str, AfterValidator(without_password), with_scheme("https", "http"), AfterValidator(bare_endpoint)] | None = None
    bucket: Annotated[str, Field(pattern=_BUCKET)] | None = None
    prefix: Annotated[str, Field(pattern=_KEY_PREFIX, max_length=200)] | None = None
    addressing: Literal["path", "host"] = "path"
    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "us-east-1"
    access_key_file: Path | None = None
    secret_key_file: Path | None = None
    ca_file: Path | None = None
    plain_because: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def _whole(self) -> "Destination":
        needed = ("path",) if self.kind == "directory" else ("endpoint", "bucket", "access_key_file", "secret_key_file")
        foreign = _OF_S3 if self.kind == "directory" else ("path", "mounted")
        if lacking := [name for name in needed if getattr(self, name) is None]:
            raise ValueError(f"{self.name}: a destination of kind {self.kind} needs {' and '.join(lacking)}")
        if wrong := [name for name in foreign if name in self.model_fields_set]:
            raise ValueError(f"{self.name}: a destination of kind {self.kind} has no {' and no '.join(wrong)}")
        if self.path is not None and not self.path.is_absolute():
            raise ValueError(f"{self.name}: path must be absolute")
        self._check_line()
        return self

    def _check_line(self) -> None:
        plain = (self.endpoint or "").startswith("http:")
        if plain and not self.plain_because.strip() and not is_here(self.endpoint or ""):
            raise ValueError(
                f"{self.name}: endpoint must begin with https://; over http:// footage and its record can be read and changed on the way, "
                "which needs a reason in plain_because"
            )
        if self.plain_because and not plain:
            raise ValueError(f"{self.name}: plain_because belongs to an endpoint with http://")
        if self.ca_file is not None and plain:
            raise ValueError(f"{self.name}: ca_file belongs to an endpoint with https://")
        if self.addressing == "host" and (is_address(self.endpoint or "") or "." in (self.bucket or "")):
            raise ValueError(f"{self.name}: addressing by host needs an endpoint with a name and a bucket without dots; else it is path")


_OF_S3 = ("endpoint", "bucket", "prefix", "addressing", "region", "access_key_file", "secret_key_file", "ca_file", "plain_because")


def _names_once(destinations: Sequence[Destination]) -> Sequence[Destination]:
    names = [one.name for one in destinations]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the name {twice[0]} stands twice")
    return destinations


class Footage(Section):
    """How footage is fetched and how long a copy is kept."""

    register_file: Path | None = None
    segment_minutes: Annotated[float, Field(gt=0, le=60)] = 5.0
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    window_max_hours: Annotated[float, Field(gt=0, le=168)] = 2.0
    retention_days: Days = 30.0
    documents_days: Days = 730.0
    download_hours: Annotated[float, Field(gt=0, le=720)] = 72.0
    download_max: Annotated[int, Field(ge=1, le=100)] = 3
    decision_days: Days = 7.0
    papers_hours: Annotated[float, Field(gt=0, le=720)] = 24.0
    hold_unapproved: bool = True
    hold_waiting: bool = True
    hold_max_days: Annotated[float, Field(gt=0, le=3_650)] = 180.0
    expected_kbps: Annotated[int, Field(ge=64, le=100_000)] = 4_000
    keep_free_mib: Annotated[int, Field(ge=0, le=1 << 24)] = 256
    brought_gib: Annotated[float, Field(gt=0, le=10_000)] = 100.0
    scrub_days: Annotated[float, Field(ge=0, le=3_650)] = 30.0
    scrub_mib_per_s: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    send_hours: Annotated[float, Field(ge=0, le=168)] = 24.0
    destinations: Annotated[tuple[Destination, ...], Field(max_length=20), AfterValidator(_names_once)] = ()


Range = Annotated[IPv4Network, AfterValidator(device_range)]


class Discovery(Section):
    """Where devices that the inventory does not have may be looked for. Without ranges and interfaces, nowhere."""

    ranges: Annotated[tuple[Range, ...], BeforeValidator(listed)] = ()
    multicast_from: Annotated[tuple[IPv4Address, ...], BeforeValidator(listed)] = ()
    addresses_per_s: Annotated[float, Field(gt=0, le=1_000)] = 100.0
    listen_s: Annotated[float, Field(gt=0, le=60)] = 3.0
    logins_file: Path | None = None
    attempts: Annotated[int, Field(ge=0, le=3)] = 2
    onvif_ports: Annotated[tuple[Port, ...], BeforeValidator(listed)] = (80, 8000, 8080)
    snmp_port: Port = 161
    probe_port: Port = 3702

    @model_validator(mode="after")
    def _bounded(self) -> "Discovery":
        if sum(network.num_addresses for network in self.ranges) > MOST_ADDRESSES:
            raise ValueError(f"ranges hold more than {MOST_ADDRESSES} addresses")
        return self


class Limits(Section):
    """Bounds that keep one guest from taking the whole house."""

    body_bytes: Annotated[int, Field(ge=1_024, le=1 << 30)] = 1 << 20
    clip_bytes: Annotated[int, Field(ge=1_024, le=1 << 30)] = 20 << 20
    import_bytes: Annotated[int, Field(ge=1_024, le=32 << 20)] = 32 << 20
    picture_bytes: Annotated[int, Field(ge=1_024, le=5 << 20)] = 5 << 20
    document_bytes: Annotated[int, Field(ge=1_024, le=32 << 20)] = 10 << 20
    requests_per_s: Count = 200
    event_streams: Count = 200
    events_days: Days = 30.0
    events_count: Annotated[int, Field(ge=1_000, le=1_000_000_000)] = 5_000_000
    idempotency_hours: Annotated[float, Field(gt=0, le=8_760)] = 48.0
    metric_labels: Annotated[int, Field(ge=1, le=1_000)] = 50


class Config(Section):
    """All of it. Paths that are not absolute are relative to the working directory."""

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "gateway"
    store: Annotated[str, AfterValidator(without_password), with_scheme("sqlite", "postgresql")] | None = None
    store_password_file: Path | None = None
    data_dir: Path = Path("data")
    key_file: Path | None = None
    profiles_dir: Path | None = None
    alerts_file: Path | None = None
    timezone: Annotated[str, AfterValidator(time_zone)] = "Asia/Shanghai"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    health: Health = Health()
    traps: Traps = Traps()
    incidents: Incidents = Incidents()
    work_orders: WorkOrders = WorkOrders()
    broadcast: Broadcast = Broadcast()
    sip: Sip = Sip()
    footage: Footage = Footage()
    reports: Reports = Reports()
    discovery: Discovery = Discovery()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _password_of_what(self) -> "Config":
        if self.store_password_file is not None and not (self.store or "").startswith("postgresql:"):
            raise ValueError("store_password_file needs a postgresql:// store")
        return self

    def store_key(self) -> Path:
        """Where the store's key is: a bare name is that of a credential of systemd, any other path that of a file."""
        return self.key_file or (self.data_dir / "store-key").absolute()

    def store_url(self) -> str:
        """The store's address, its password filled in from its file: never to be shown."""
        if self.store is None:
            return f"sqlite:///{self.data_dir / STORE_FILE}"
        if self.store_password_file is None:
            return self.store
        parts = urlsplit(self.store)
        user, _, host = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(read_secret(self.store_password_file), safe='')}@{host}"))
