"""Voices in the street: how evenly the pacer sends, how soon a speaker is heard after an order, and how soon all are silent.

The kernel's own times of arrival at loudspeakers in another process (`bench.ears`), on 127/8. Evenness and cost are taken with every core
kept busy by a process that only computes, once with SCHED_FIFO, and once without it (keys that end in `_normal`). Where the machine refuses
SCHED_FIFO, `fifo` is false and both rows are taken without. 110 and 1,000 speakers over UDP, 110 and 1,000 inside RTSP connections:

    deviation_p99_ms_N, deviation_max_ms_N   how far the time between two packets of one speaker was from 20 ms
    machine_late_p99_ms_N, …_max_ms_N        how late a process wakes meanwhile that only sleeps, on any core and a place above the pacer
                                             (`bench.witness`), and `machine_steal_ms_N`, how long the hypervisor had the cores for others:
                                             a pause of the machine is in these, too, and `ratios.deviation_max_vs_machine_N` compares
    start_skew_ms_N                          from the first speaker's first packet to the last speaker's
    drift_us_per_s_N                         how much longer the whole took than it should
    cpu_pct_of_core_N                        of all threads of the pacer's process, by the scheduler's count. Over loopback the sender does
                                             the receiving half of the kernel's work, too: `bare_cpu_pct_of_core_N` is what the same
                                             packets cost, before it and after it, when nothing else is done but to send them, and
                                             `ratios.cpu_vs_bare_N` compares
    sender_only_cpu_pct_of_core_N            what is left of it where nobody else's work is charged to the sender (`bench.sender_only`):
                                             over UDP to a device that drops, inside RTSP connections with the other cores receiving; 1,000
                                             speakers, not there where the machine refuses a network of one's own
    first_packet_cold_p99_ms                 from the order to the first packet: way and identity unknown, one speaker at a time, the whole
                                             service with ONVIF, RTSP and a disk
    first_packet_warm_p99_ms                 the same when the way is known and a health check has just met the speaker
    text_to_audio_ms, text_cached_ms         from a text to what loudspeakers take (`bench.speech`); `bare_speech_ms`: what espeak-ng
                                             alone takes over the same
    mic_to_wire_p95_ms                       from a microphone's frame in the daemon to the kernel of the loudspeaker, five talkers
    mic_frames_lost                          of what they say once they are heard
    mic_cpu_pct_of_core_each                 what one of them costs on that way, pacer included; `mic_clock_pct_of_core_each`, the bench's
                                             own clock, is not in it. The whole way from the microphone is `./gw bench talk`
    stop_all_p99_ms                          from stop-all to the last packet at any of the speakers, all of them speaking
    preemption_p99_ms, …_110                 from the order of an emergency to its first packet where something else plays: at 20 speakers,
                                             and at all

Takes about five minutes.
"""

import asyncio
import gc
from statistics import mean
from typing import Any

from bench import bare_sends, calls, choir, sender_only, speech

MANY = 1_000
ROWS = (("udp", 110, "110"), ("udp", MANY, "1000"), ("tcp", 110, "110_tcp"), ("tcp", MANY, "1000_tcp"))
KEYS = ("deviation_p99_ms", "deviation_max_ms", "start_skew_ms", "cpu_pct_of_core", "drift_us_per_s")
MACHINE = ("machine_late_p99_ms", "machine_late_max_ms", "machine_steal_ms")


def measure() -> dict[str, Any]:
    """Run it all."""
    figures: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for part in (calls.answers, calls.silences, calls.preemptions, calls.talks, speech.figures):
        figures |= asyncio.run(part())
        gc.collect()
    for kind, count, name in ROWS:
        bare = [bare_sends.cpu_pct(kind, count)]
        for ending, fifo in (("", True), ("_normal", False)):
            found = asyncio.run(choir.evenness(kind, count, fifo=fifo))
            figures |= {f"{key}_{name}{ending}": found[key] for key in (*KEYS, *MACHINE)}
            figures[f"missing_{name}{ending}"] = found["missing"]
            if fifo:
                bare.append(bare_sends.cpu_pct(kind, count))
                figures["fifo"] = found["fifo"]
                figures[f"bare_cpu_pct_of_core_{name}"] = round(mean(bare), 2)
                ratios[f"cpu_vs_bare_{name}"] = round(found["cpu_pct_of_core"] / mean(bare), 3)
                ratios[f"deviation_max_vs_machine_{name}"] = round(found["deviation_max_ms"] / found["machine_late_max_ms"], 3)
        if count == MANY and (alone := sender_only.cpu_pct(kind, count)) is not None:
            figures[f"sender_only_cpu_pct_of_core_{name}"] = alone
    return {"figures": figures, "ratios": ratios}
