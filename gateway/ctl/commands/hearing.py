"""Which loudspeaker is heard where a camera looks: proposals, decisions, and why this one would speak."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.ctl.failure import Exit, Failed
from gateway.ctl.output import Column, Format, column, say, show, tell
from gateway.ctl.session import Output, client_of

bindings = typer.Typer(no_args_is_help=True)

Camera = Annotated[str, typer.Argument(help="The camera.")]
Speakers = Annotated[list[str] | None, typer.Argument(help="The loudspeakers; without, all that are proposed for this camera.")]
Preset = Annotated[str, typer.Option(help="One of its presets; without, wherever it looks.")]
Reach = Annotated[float | None, typer.Option(help="How far it is heard, in metres; without, as it was.")]
Note = Annotated[str | None, typer.Option(help="What is worth knowing of it; without, as it was.")]


def add_to(app: typer.Typer) -> None:
    app.command()(speakers)


def speakers(ctx: typer.Context, camera: Camera, *, preset: Preset = "", output: Output = Format.TABLE) -> None:
    """The loudspeakers beside what a camera sees, the nearest first, and why each would speak to it now or not."""
    found = client_of(ctx).get(f"/v1/cameras/{quote(camera, safe='')}/speakers", preset=preset)["items"]
    columns = [column("speaker"), Column("DISTANCE", _distance), Column("BOND", lambda one: str(one["view"]["bond"]))]
    columns += [column("state"), Column("SPEAKS", lambda one: "yes" if one["chosen"] else ""), column("reason")]
    show(found, [*columns, column("name", wide=True)], output)


@bindings.command("list")
def list_bindings(
    ctx: typer.Context,
    *,
    camera: Annotated[str | None, typer.Option(help="Those of a camera.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Those of a loudspeaker.")] = None,
    state: Annotated[str | None, typer.Option(help="proposed, confirmed or rejected.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    output: Output = Format.TABLE,
) -> None:
    """Which loudspeaker is heard where which camera looks."""
    found = client_of(ctx).every("/v1/bindings", most=limit, camera=camera, speaker=speaker, state=state)
    columns = [*map(column, ("camera", "preset", "speaker", "state", "distance_m", "reach_m")), column("decided_by", wide=True)]
    show(found, [*columns, *(column(name, wide=True) for name in ("decided_at", "note"))], output)


@bindings.command("propose")
def propose(
    ctx: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Propose by distance and direction, now; no decision is touched."""
    tell(client_of(ctx).call("POST", "/v1/bindings/proposals", body={"dry_run": dry_run}), output)


@bindings.command("confirm")
def confirm(
    ctx: typer.Context,
    camera: Camera,
    speakers: Speakers = None,
    *,
    preset: Preset = "",
    reach: Reach = None,
    note: Note = None,
    output: Output = Format.TABLE,
) -> None:
    """Say that loudspeakers are heard where a camera looks. Whoever confirms has listened there."""
    _decide(ctx, "confirm", (camera, preset, speakers), {"reach_m": reach, "note": note}, output)


@bindings.command("reject")
def reject(
    ctx: typer.Context, camera: Camera, speakers: Speakers = None, *, preset: Preset = "", note: Note = None, output: Output = Format.TABLE
) -> None:
    """Say that loudspeakers are not heard where a camera looks."""
    _decide(ctx, "reject", (camera, preset, speakers), {"note": note}, output)


def _decide(ctx: typer.Context, decision: str, which: tuple[str, str, list[str] | None], more: Mapping[str, Any], output: Format) -> None:
    client, (camera, preset, named) = client_of(ctx), which
    if not named:
        proposed = client.every("/v1/bindings", camera=camera, state="proposed")
        named = [one["speaker"] for one in proposed if one["preset"] == preset]
    if not named:
        raise Failed("Nothing is proposed there.", exit_code=Exit.REFUSED, hint=f"gatewayctl speakers {camera} shows what is near.")
    bound = [{"camera": camera, "preset": preset, "speaker": speaker} for speaker in named]
    body = {"bindings": bound, "decision": decision} | {name: value for name, value in more.items() if value is not None}
    done = client.call("POST", "/v1/bindings/decisions", body=body)["items"]
    show(done, [*map(column, ("camera", "preset", "speaker", "state", "distance_m", "reach_m"))], output)
    say(f"{len(done)} decided: {decision}")


def _distance(one: Mapping[str, Any]) -> str:
    metres = one["view"]["distance_m"]
    return "" if metres is None else f"{metres:.0f} m"
