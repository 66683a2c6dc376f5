"""A way that somebody took, as it is given on a command line."""

from typing import Any

from gateway.ctl.failure import Exit, Failed


def route_of(
    text: str | None, *, direction: str | None, slowest_kmh: float | None, fastest_kmh: float | None, corridor_m: float | None
) -> dict[str, Any] | None:
    """`LAT,LON LAT,LON …` with what else is given, as the API wants it; None without a route.

    Failed when it is none, and when there is no route that the rest could be about.
    """
    given = {"direction": direction, "slowest_kmh": slowest_kmh, "fastest_kmh": fastest_kmh, "corridor_m": corridor_m}
    rest = {name: value for name, value in given.items() if value is not None}
    if text is not None:
        return {"points": [_point(each) for each in text.split()], **rest}
    if rest:
        hint = "Give --route with --direction, --slowest, --fastest and --corridor."
        raise Failed("There is no route to go along.", exit_code=Exit.USAGE, hint=hint)
    return None


def _point(text: str) -> dict[str, float]:
    try:
        latitude, longitude = map(float, text.split(","))
    except ValueError:
        hint = "Write its corners as LAT,LON with spaces between them: --route '36.4561,115.9852 36.4570,115.9901'"
        raise Failed(f"{text!r} is no corner of a route.", exit_code=Exit.USAGE, hint=hint) from None
    return {"latitude": latitude, "longitude": longitude}
