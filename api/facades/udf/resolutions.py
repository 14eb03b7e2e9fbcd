"""The protocol's names of candle lengths."""

from backend.errors import InvalidParameter
from backend.models.ohlc import Interval

#: Minutes as digits; days, weeks and months with a letter.
RESOLUTIONS = {
    "1": Interval.M1,
    "3": Interval.M3,
    "5": Interval.M5,
    "15": Interval.M15,
    "30": Interval.M30,
    "60": Interval.H1,
    "120": Interval.H2,
    "240": Interval.H4,
    "360": Interval.H6,
    "480": Interval.H8,
    "720": Interval.H12,
    "1D": Interval.D1,
    "3D": Interval.D3,
    "1W": Interval.W1,
    "1M": Interval.MONTH,
}
#: Other names of the same.
_SHORT = {"D": "1D", "W": "1W", "M": "1M"}


def interval_of(resolution: str) -> Interval:
    """Raises InvalidParameter with all resolutions."""
    interval = RESOLUTIONS.get(_SHORT.get(resolution, resolution))
    if interval is None:
        rule = f"must be one of {', '.join(RESOLUTIONS)}"
        raise InvalidParameter("resolution", rule, tuple(RESOLUTIONS))
    return interval
