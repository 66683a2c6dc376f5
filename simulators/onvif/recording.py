"""The Recording service (Profile G): which recordings are set up, one for each channel, and the jobs that fill them without end."""

from typing import Final

from simulators.city import SimChannel
from simulators.onvif import recordings
from simulators.onvif.recordings import TRACK
from simulators.onvif.soap import Call, invalid
from simulators.onvif.streams import streams_of
from simulators.onvif.unit import Service, Unit

_TRACK: Final = "<tt:TrackType>Video</tt:TrackType><tt:Description>video</tt:Description>"
_PROFILE: Final = "http://www.onvif.org/ver10/schema/Profile"


def _capabilities(unit: Unit) -> str:
    count = len(unit.device.channels)
    codecs = " ".join(sorted({recordings.codec(unit, channel) for channel in unit.device.channels}))
    return (
        f'<trc:Capabilities DynamicRecordings="false" DynamicTracks="false" Encoding="{codecs}" MaxRate="64000" MaxTotalRate="512000" '
        f'MaxRecordings="{count}" MaxRecordingJobs="{count}" Options="true" MetadataRecording="false"/>'
    )


# -- recordings and tracks --------------------------------------------------------------------------------------------


def _recordings(unit: Unit, _call: Call) -> str:
    return "".join(
        f"<trc:RecordingItem><tt:RecordingToken>{channel.token}</tt:RecordingToken>"
        f"<tt:Configuration>{recordings.source(unit, channel)}{_settings(unit)}</tt:Configuration><tt:Tracks><tt:Track>"
        f"<tt:TrackToken>{TRACK}</tt:TrackToken><tt:Configuration>{_TRACK}</tt:Configuration></tt:Track></tt:Tracks></trc:RecordingItem>"
        for channel in unit.device.channels
    )


def _configuration(unit: Unit, call: Call) -> str:
    inner = recordings.source(unit, recordings.channel_in(unit, call)) + _settings(unit)
    return f"<trc:RecordingConfiguration>{inner}</trc:RecordingConfiguration>"


def _settings(unit: Unit) -> str:
    return f"<tt:Content>continuous</tt:Content><tt:MaximumRetentionTime>P{unit.device.retention_days}D</tt:MaximumRetentionTime>"


def _options(unit: Unit, call: Call) -> str:
    """Each recording has its one job and its one track already."""
    recordings.channel_in(unit, call)
    return '<trc:Options><trc:Job Spare="0"/><trc:Track SpareTotal="0" SpareVideo="0" SpareAudio="0" SpareMetadata="0"/></trc:Options>'


def _track_configuration(unit: Unit, call: Call) -> str:
    recordings.channel_in(unit, call)
    if call.text("TrackToken") != TRACK:
        raise invalid("no such track", "ter:NoTrack")
    return f"<trc:TrackConfiguration>{_TRACK}</trc:TrackConfiguration>"


# -- jobs -------------------------------------------------------------------------------------------------------------


def _jobs(unit: Unit, _call: Call) -> str:
    return "".join(
        f"<trc:JobItem><tt:JobToken>{_job_token(channel)}</tt:JobToken><tt:JobConfiguration>{_job(unit, channel)}</tt:JobConfiguration>"
        "</trc:JobItem>"
        for channel in unit.device.channels
    )


def _job_configuration(unit: Unit, call: Call) -> str:
    return f"<trc:JobConfiguration>{_job(unit, _job_in(unit, call))}</trc:JobConfiguration>"


def _job_state(unit: Unit, call: Call) -> str:
    channel = _job_in(unit, call)
    track = f"<tt:SourceTag>video</tt:SourceTag><tt:Destination>{TRACK}</tt:Destination><tt:State>Active</tt:State>"
    return (
        f"<trc:State><tt:RecordingToken>{channel.token}</tt:RecordingToken><tt:State>Active</tt:State><tt:Sources>"
        f"{_source_token(unit, channel)}<tt:State>Active</tt:State><tt:Tracks><tt:Track>{track}</tt:Track></tt:Tracks></tt:Sources>"
        "</trc:State>"
    )


def _job(unit: Unit, channel: SimChannel) -> str:
    """The content of a tt:RecordingJobConfiguration."""
    return (
        f"<tt:RecordingToken>{channel.token}</tt:RecordingToken><tt:Mode>Active</tt:Mode><tt:Priority>1</tt:Priority><tt:Source>"
        f"{_source_token(unit, channel)}<tt:Tracks><tt:SourceTag>video</tt:SourceTag><tt:Destination>{TRACK}</tt:Destination></tt:Tracks>"
        "</tt:Source>"
    )


def _source_token(unit: Unit, channel: SimChannel) -> str:
    """A camera records its own best profile, a recorder what its receiver of the channel brings."""
    if unit.device.card:
        return f'<tt:SourceToken Type="{_PROFILE}"><tt:Token>{streams_of(unit.device)[0].token}</tt:Token></tt:SourceToken>'
    return f"<tt:SourceToken><tt:Token>receiver-{channel.number}</tt:Token></tt:SourceToken>"


def _job_token(channel: SimChannel) -> str:
    return f"job-{channel.number}"


def _job_in(unit: Unit, call: Call) -> SimChannel:
    token = call.text("JobToken")
    found = next((channel for channel in unit.device.channels if _job_token(channel) == token), None)
    if found is None:
        raise invalid("no such job", "ter:NoRecordingJob")
    return found


SERVICE: Final = Service(
    prefix="trc",
    paths={"": "/onvif/recording_service", "HIKVISION": "/onvif/Recording", "AXIS": "/onvif/services"},
    version=(2, 60),
    capabilities=_capabilities,
    operations={
        "GetRecordings": _recordings,
        "GetRecordingConfiguration": _configuration,
        "GetRecordingOptions": _options,
        "GetTrackConfiguration": _track_configuration,
        "GetRecordingJobs": _jobs,
        "GetRecordingJobConfiguration": _job_configuration,
        "GetRecordingJobState": _job_state,
    },
)
