"""The Recording service (Profile G): which recordings the recorder is set up to make."""

from typing import Final

from simulators.onvif import recordings
from simulators.onvif.recordings import TRACK
from simulators.onvif.soap import Call
from simulators.onvif.unit import Service, Unit


def _capabilities(unit: Unit) -> str:
    return (
        '<trc:Capabilities DynamicRecordings="false" DynamicTracks="false" Encoding="H264" MaxRate="64000" MaxTotalRate="512000" '
        f'MaxRecordings="{len(unit.device.channels)}" MaxRecordingJobs="{len(unit.device.channels)}" Options="false"/>'
    )


def _recordings(unit: Unit, _call: Call) -> str:
    return "".join(
        f"<trc:RecordingItem><tt:RecordingToken>{channel.token}</tt:RecordingToken>"
        f"<tt:Configuration>{recordings.source(unit, channel)}{_settings(unit)}</tt:Configuration><tt:Tracks><tt:Track>"
        f"<tt:TrackToken>{TRACK}</tt:TrackToken><tt:Configuration><tt:TrackType>Video</tt:TrackType><tt:Description>video</tt:Description>"
        "</tt:Configuration></tt:Track></tt:Tracks></trc:RecordingItem>"
        for channel in recordings.listed(unit)
    )


def _configuration(unit: Unit, call: Call) -> str:
    inner = recordings.source(unit, recordings.channel_in(unit, call)) + _settings(unit)
    return f"<trc:RecordingConfiguration>{inner}</trc:RecordingConfiguration>"


def _settings(unit: Unit) -> str:
    return f"<tt:Content>continuous</tt:Content><tt:MaximumRetentionTime>P{unit.device.retention_days}D</tt:MaximumRetentionTime>"


SERVICE: Final = Service(
    prefix="trc",
    paths={"": "/onvif/recording_service", "HIKVISION": "/onvif/Recording"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={"GetRecordings": _recordings, "GetRecordingConfiguration": _configuration},
)
