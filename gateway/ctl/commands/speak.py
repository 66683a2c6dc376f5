"""A voice in the street: a text or a clip through loudspeakers, with what became of it at each, and silence everywhere."""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.ctl.client import Client
from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, column, show, tell
from gateway.ctl.output import say as talk
from gateway.ctl.session import Output, client_of

POLL_S = 0.3
CLIP_LIMIT = 20 << 20  # of `limits.clip_bytes`, as it stands unless it is configured
_KINDS = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
}
DELIVERIES: Final[Sequence[Column]] = (
    *map(column, ("speaker", "state")),
    Column("WHY", lambda item: _why(item) or None),
    *map(column, ("path", "packets", "lost", "first_packet_at")),
    Column("REMARKS", lambda item: "; ".join(remark["remark_en"] for remark in item["remarks"]) or None),
    *(column(name, wide=True) for name in ("detail", "encoding", "dropped", "last_packet_at")),
    *(column(f"clip_{name}_at", wide=True) for name in ("asked", "confirmed", "stop_asked", "silent")),
    column("reason", wide=True),
)
"""What a table shows of each loudspeaker."""

Speaker = Annotated[list[str] | None, typer.Option(help="To a loudspeaker; give it several times for several.")]
Zone = Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a zone.")]
Group = Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a camera group.")]
Cell = Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a grid cell.")]
District = Annotated[list[str] | None, typer.Option(help="To all loudspeakers of a district.")]
CircleOption = Annotated[str | None, typer.Option("--circle", help="To all loudspeakers within R metres of a place.", metavar="LAT,LON,R")]
PolygonOption = Annotated[
    str | None, typer.Option("--polygon", help="To all loudspeakers within these corners.", metavar="'LAT,LON LAT,LON LAT,LON'")
]
Near = Annotated[str | None, typer.Option(help="To the nearest loudspeaker that is heard where this camera looks.", metavar="CAMERA")]
Preset = Annotated[str | None, typer.Option(help="With --near: where the camera looks by this preset.")]
Text = Annotated[str | None, typer.Argument(help="What shall be said.", metavar="[TEXT]")]
Clip = Annotated[str | None, typer.Option(help="A sound file, or the id of a clip, instead of a text.", metavar="FILE|CLIP")]
Voice = Annotated[str, typer.Option(help="Whose voice; else the one that suits the text.")]
Chime = Annotated[bool, typer.Option("--chime", help="A chime before it.")]
Repeats = Annotated[int, typer.Option(min=1, max=100, help="How often.")]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]
Priority = Annotated[str, typer.Option(help="schedule, notice, enforcement, talk or emergency.")]


def _why(item: Mapping[str, Any]) -> str:
    words = item.get("reason_en") or item.get("reason") or ""
    return "; ".join(filter(None, (words, "may still sound" if item.get("may_still_sound") else "")))


def add_to(app: typer.Typer) -> None:
    app.command("say")(say)
    app.command("stop-all")(stop_all)


def say(
    ctx: typer.Context,
    text: Text = None,
    *,
    clip: Clip = None,
    near: Near = None,
    preset: Preset = None,
    speaker: Speaker = None,
    zone: Zone = None,
    group: Group = None,
    cell: Cell = None,
    district: District = None,
    circle: CircleOption = None,
    polygon: PolygonOption = None,
    voice: Voice = "",
    chime: Chime = False,
    repeats: Repeats = 1,
    pause: Annotated[float, typer.Option(min=0, max=600, help="Seconds between repeats.")] = 1.0,
    priority: Priority = "notice",
    within: Annotated[float, typer.Option(min=1, max=3600, help="Seconds after which it must not begin any more.")] = 30.0,
    case: Annotated[str, typer.Option(help="The platform's case number.")] = "",
    reason: Reason = "",
    override: Annotated[str, typer.Option(help="Why it may be heard in quiet hours.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Though the same was said a moment ago.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after an interruption, instead of being dropped.")] = False,
    command_id: Annotated[str | None, typer.Option("--id", help="Your own id: sent again, it is still one broadcast.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it has been heard, and say where.")] = True,
    output: Output = Format.TABLE,
) -> None:
    """Say a text, or play a clip. Ends with 0 when it was heard as ordered, 5 when at some loudspeakers only, 1 when nowhere."""
    targets = targets_of(
        near=near, preset=preset, speaker=speaker, zone=zone, group=group, cell=cell, district=district, circle=circle, polygon=polygon
    )
    client = client_of(ctx)
    said = content_of(client, text, clip, voice) | {"chime": chime, "repeats": repeats, "pause_s": pause}
    manner = {"priority": priority, "override": override, "again": again, "resume": resume}
    record = {"case": case, "reason": reason, "id": command_id or uuid.uuid4().hex}
    not_after = (client.now() + timedelta(seconds=within)).isoformat()
    _have_said(client, {**said, **manner, **record, "targets": targets, "not_after": not_after}, wait=wait, output=output)


def stop_all(ctx: typer.Context) -> None:
    """Silence everything, now."""
    stopped = client_of(ctx).call("POST", "/v1/broadcasts/stop-all")
    talk(f"silenced {_counted(stopped['broadcasts'], 'broadcast')} at {_counted(stopped['speakers'], 'loudspeaker')}")
    if sounding := stopped["may_still_sound"]:
        play = "plays by itself" if len(sounding) == 1 else "play by themselves"
        why = f"{_counted(len(sounding), 'loudspeaker')} {play} and may still sound: {', '.join(sounding)}"
        hint = "They are asked again and again. Cut their power where that takes too long."
        raise Failed(why, exit_code=Exit.PARTIAL, hint=hint)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def targets_of(
    *,
    near: str | None,
    preset: str | None,
    circle: str | None,
    polygon: str | None,
    speaker: list[str] | None,
    zone: list[str] | None,
    group: list[str] | None,
    cell: list[str] | None,
    district: list[str] | None,
) -> dict[str, Any]:
    """The body's `targets`. Failed (USAGE) when nothing is named, or what is named makes no sense."""
    if preset is not None and near is None:
        raise Failed("A preset is a camera's.", exit_code=Exit.USAGE, hint="Give --near CAMERA with it.")
    named: dict[str, Any] = {"speakers": speaker, "zones": zone, "groups": group, "cells": cell, "districts": district}
    named |= {"circle": circle and circle_of(circle), "polygon": polygon and polygon_of(polygon)}
    named |= {"views": near and [{"camera": near, "preset": preset or ""}]}
    targets = {name: value for name, value in named.items() if value}
    if not targets:
        hint = "Give --near, --speaker, --zone, --group, --cell, --district, --circle or --polygon."
        raise Failed("Where shall it be heard?", exit_code=Exit.USAGE, hint=hint)
    return targets


def circle_of(text: str) -> dict[str, Any]:
    """`LAT,LON,R` as the API wants it. Failed for anything else."""
    try:
        latitude, longitude, radius_m = map(float, text.split(","))
    except ValueError:
        raise Failed(f"{text!r} is no circle.", exit_code=Exit.USAGE, hint="Write it as LAT,LON,R: 36.4561,115.9852,200") from None
    return {"centre": {"latitude": latitude, "longitude": longitude}, "radius_m": radius_m}


def polygon_of(text: str) -> list[dict[str, float]]:
    """The corners `LAT,LON LAT,LON …` as the API wants them. Failed for anything else, and for fewer than three."""
    try:
        corners = [(float(latitude), float(longitude)) for latitude, longitude in (corner.split(",") for corner in text.split())]
    except ValueError:
        corners = []
    if len(corners) < 3:
        hint = "Write its corners in order: '36.456,115.985 36.458,115.985 36.458,115.988'"
        raise Failed(f"{text!r} is no polygon.", exit_code=Exit.USAGE, hint=hint)
    return [{"latitude": latitude, "longitude": longitude} for latitude, longitude in corners]


def content_of(client: Client, text: str | None, clip: str | None, voice: str) -> dict[str, str]:
    """A text or a clip. A text that names a sound is not said: nobody wants to hear a file's name in the street."""
    if (text is None) == (clip is None):
        hint = 'gatewayctl say --near CAMERA "请勿占道经营", or --clip FILE'
        raise Failed("Either a text or --clip.", exit_code=Exit.USAGE, hint=hint)
    if clip is not None:
        if voice:
            raise Failed("A clip has a voice of its own.", exit_code=Exit.USAGE, hint="Leave --voice out.")
        return {"clip": _clip(client, clip)}
    assert text is not None
    if Path(text).suffix.lower() in _KINDS or re.fullmatch(r"[0-9a-f]{64}", text):
        raise Failed(f"{text} is a sound, not a text.", exit_code=Exit.USAGE, hint=f"--clip {text}; there are: gatewayctl get clips")
    return {"text": text, **({"voice": voice} if voice else {})}


# What a field of the order is called here.
_OPTIONS: Final = {"again": "--again", "override": "--override", "not_after": "`not_after` (--within)"}


def _have_said(client: Client, order: Mapping[str, Any], *, wait: bool, output: Format) -> None:
    """Give the order, and unless nobody waits for it tell what became of it. Failed when it was not heard as ordered."""
    try:
        sent = client.call("POST", "/v1/broadcasts", body=order)
    except Failed as failed:
        failed.hint = re.sub("`(again|override|not_after)`", lambda field: _OPTIONS[field[1]], failed.hint)
        raise
    if not wait:
        tell({"id": sent["id"]}, output)
        return
    ended = _ended(client, sent)
    if output in {Format.JSON, Format.YAML}:
        tell(ended, output)
    else:
        show(ended["deliveries"], DELIVERIES, output)
    _judge(ended)


def _clip(client: Client, named: str) -> str:
    """The id of a clip: of the file, once it is uploaded, or the one that was given."""
    path = Path(named)
    if not path.exists() and re.fullmatch(r"[0-9a-f]{64}", named):
        return named
    try:
        if path.stat().st_size > CLIP_LIMIT:
            raise Failed(f"{path} is larger than {CLIP_LIMIT >> 20} MiB.", exit_code=Exit.USAGE, hint="Shorten it, or send it as MP3.")
        data = path.read_bytes()
    except OSError as error:
        hint = "Name a sound file, or a clip of: gatewayctl get clips"
        raise Failed(f"{named} cannot be read: {error.strerror}", exit_code=Exit.USAGE, hint=hint) from None
    kind = _KINDS.get(path.suffix.lower(), "application/octet-stream")
    kept = client.call("POST", "/v1/clips", query={"name": path.stem[:200] or "clip"}, data=data, kind=kind)
    return str(kept["id"])


def _ended(client: Client, broadcast: dict[str, Any]) -> dict[str, Any]:
    if broadcast["counts"].get("awaiting-approval"):
        talk(f"it waits for a second person: gatewayctl broadcasts approve {broadcast['id']}")
    try:
        while broadcast["open"]:
            time.sleep(POLL_S)
            broadcast = client.get(f"/v1/broadcasts/{broadcast['id']}")
    except Failed as failed:
        look = f"gatewayctl broadcasts describe {broadcast['id']}"
        failed.hint = f"It was ordered: {look} tells what became of it. Do not order it again before."
        raise
    return broadcast


def _judge(ended: Mapping[str, Any]) -> None:
    """Failed unless it was heard as ordered: at every loudspeaker, or where only a view was meant, at one."""
    done, all_ = ended["counts"].get("done", 0), len(ended["deliveries"])
    only_views = not any(value for name, value in ended["targets"].items() if name != "views")
    if done < all_ and not (only_views and done >= len(ended["targets"]["views"])):
        code = Exit.PARTIAL if done else Exit.FAILED
        cancelled = ended["counts"].get("cancelled", 0)
        hint = "" if done + cancelled == all_ else "gatewayctl describe devices SPEAKER tells how a loudspeaker is."
        stopped = f" to its end; it was silenced at {cancelled}" if cancelled else ""
        raise Failed(f"{done} of {all_} loudspeakers played it{stopped}.", exit_code=code, hint=hint)
