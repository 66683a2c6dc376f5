"""How the daemon's own parts fare, for `/metrics`."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.broadcast.pacing.stream import Pacer, Standing
from gateway.footage.scrubbing import Scrubber
from gateway.health.listening import Listening
from gateway.health.rounds import Rounds
from gateway.health.service import HealthService
from gateway.health.timing import BOUNDS_S, Times
from gateway.mqtt import MqttDoor
from gateway.notify.notifier import Notifier
from gateway.supervisor import PartState, PartStatus
from gateway.traps.service import TrapService


class HouseFigures(Collector):
    """Figures that are read when they are asked for; labels are bounded by the parts, checks and channels there are."""

    def __init__(
        self,
        parts: Iterable[PartStatus],
        health: HealthService,
        *,
        mqtt: MqttDoor | None = None,
        traps: TrapService | None = None,
        alerts: Notifier | None = None,
        rounds: Rounds | None = None,
        listening: Listening | None = None,
        pacer: Pacer | None = None,
        scrubber: Scrubber | None = None,
    ) -> None:
        self._parts = parts
        self._health = health
        self._mqtt = mqtt
        self._traps = traps
        self._alerts = alerts
        self._rounds = rounds
        self._listening = listening
        self._pacer = pacer
        self._scrubber = scrubber

    def collect(self) -> Iterator[Metric]:
        running = GaugeMetricFamily("gateway_part_running", "1 while a part of the daemon does its work.", labels=["part"])
        restarts = CounterMetricFamily("gateway_part_restarts", "How often a part failed and was started again.", labels=["part"])
        for part in self._parts:
            running.add_metric([part.name], part.state is PartState.RUNNING)
            restarts.add_metric([part.name], part.restarts)
        yield running
        yield restarts
        yield from self._checking()
        yield from self._checks()
        yield from self._rounding()
        if self._mqtt is not None:
            yield GaugeMetricFamily("gateway_mqtt_connected", "1 while the broker is connected.", value=self._mqtt.connected)
        yield from self._telling()
        yield from self._hearing()
        if self._pacer is not None:
            yield from _pacing(self._pacer.standing)
        if self._scrubber is not None:
            yield from _scrubbing(self._scrubber)

    def _checking(self) -> Iterator[Metric]:
        figures = self._health.figures
        yield CounterMetricFamily("gateway_health_visits", "Devices visited.", value=figures.visits)
        yield GaugeMetricFamily("gateway_health_under_way", "Visits under way.", value=figures.under_way)
        yield GaugeMetricFamily("gateway_health_backing_off", "Devices that are dead and visited less often.", value=figures.off_the_ring)
        yield GaugeMetricFamily("gateway_health_lateness_seconds", "How far the checks are behind their plan.", value=figures.lateness_s)
        yield GaugeMetricFamily("gateway_health_blind", "1 while nobody at all answers: the fault is ours.", value=figures.blind)

    def _rounding(self) -> Iterator[Metric]:
        made = CounterMetricFamily("gateway_slow_checks", "Slow checks made, of one device each.", labels=["check"])
        late = GaugeMetricFamily("gateway_slow_check_lateness_seconds", "How far a slow check is behind its plan.", labels=["check"])
        for check, figures in self._rounds.figures.items() if self._rounds is not None else ():
            made.add_metric([check], figures.made)
            late.add_metric([check], figures.lateness_s)
        yield made
        yield late
        if self._listening is not None:
            yield GaugeMetricFamily("gateway_subscriptions", "Devices to whose events we listen.", value=self._listening.subscriptions)
            yield CounterMetricFamily("gateway_device_events", "What they told.", value=self._listening.events)

    def _telling(self) -> Iterator[Metric]:
        told = CounterMetricFamily("gateway_alerts", "Attempts to tell somebody; queued: to be made again.", labels=["channel", "outcome"])
        for (channel, fate), count in sorted(self._alerts.counts.items()) if self._alerts is not None else ():
            told.add_metric([channel, fate], count)
        yield told

    def _hearing(self) -> Iterator[Metric]:
        """The families stand there, empty, when nothing is listened to: a rule that asks for them is right all the same."""
        figures = self._traps.figures if self._traps is not None else None
        heard = CounterMetricFamily(
            "gateway_traps", "Traps and informs by what became of them; see docs/operate/traps.md.", labels=["what"]
        )
        for what, count in sorted(figures.counts.items()) if figures is not None else ():
            heard.add_metric([what], count)
        yield heard
        if figures is not None:
            yield GaugeMetricFamily("gateway_trap_alarms_open", "Alarms that devices have raised and not cleared.", value=figures.alarms)
            yield GaugeMetricFamily("gateway_trap_buffer_bytes", "What the kernel granted the socket.", value=figures.buffer_bytes)

    def _checks(self) -> Iterator[Metric]:
        took = HistogramMetricFamily(
            "gateway_check_seconds", "Time to a check's result; within a visit from its beginning.", labels=["check"]
        )
        for check, times in self._health.times.times.items():
            took.add_metric([check], _cumulative(times), times.total_s)
        yield took
        ended = CounterMetricFamily("gateway_check_results", "Results of checks, by how they ended.", labels=["check", "outcome"])
        for (check, outcome), count in self._health.times.outcomes.items():
            ended.add_metric([check, outcome], count)
        yield ended


def _pacing(standing: Standing) -> Iterator[Metric]:
    yield GaugeMetricFamily("gateway_pacer_apart", "1 while sound is sent by a process of its own.", value=standing.apart)
    yield GaugeMetricFamily("gateway_pacer_realtime", "1 while that process goes before all others (SCHED_FIFO).", value=standing.fifo)
    yield GaugeMetricFamily("gateway_pacer_locked", "1 while its memory cannot be paged out.", value=standing.locked)
    yield GaugeMetricFamily("gateway_pacer_batched", "1 while it sends from many sockets by one call (io_uring).", value=standing.batched)
    yield GaugeMetricFamily("gateway_pacer_lateness_seconds", "How late it woke at the most, of late.", value=standing.late_s)
    yield CounterMetricFamily("gateway_pacer_deaths", "How often it died and was started again.", value=standing.restarts)


def _scrubbing(scrubber: Scrubber) -> Iterator[Metric]:
    figures = scrubber.figures
    yield CounterMetricFamily("gateway_evidence_checks", "Stored files and proofs that were read again and compared.", value=figures.pieces)
    yield CounterMetricFamily("gateway_evidence_checked_bytes", "Bytes of stored files that were read again.", value=figures.bytes)
    if figures.standing is not None:
        yield GaugeMetricFamily("gateway_evidence_damaged", "Stored files and proofs that are damaged.", value=figures.standing.damaged)
    if (age_s := scrubber.oldest_s()) is not None:
        yield GaugeMetricFamily("gateway_evidence_unchecked_seconds", "Time since the longest unchecked of them was.", value=age_s)


def _cumulative(times: Times) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
    return list(zip(bounds, accumulate(times.counts), strict=True))
