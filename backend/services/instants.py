"""Instants as readers write them: ISO 8601, a date, epoch seconds or milliseconds."""

import re
from datetime import UTC, datetime

from backend.errors import InvalidParameter

DAY_MS = 86_400_000
EARLIEST_MS = 1_230_768_000_000  # 2009-01-01: nothing was traded before
#: A time and its offset without the sign: a bare `+` in an address arrives as a space.
_SPACE_FOR_PLUS = re.compile(r"(\S+[Tt ][\d:.,]+) (\d[\d:]*)")
_EPOCH = re.compile(r"-?\d{1,17}(\.\d{1,9})?")
#: Epoch figures below this are seconds (in ms it would be 1973).
SECONDS_BELOW = 100_000_000_000


def parse_instant(parameter: str, text: str) -> int:
    """Epoch ms of an ISO instant, a date, or epoch s or ms. Raises InvalidParameter.

    A space in place of the offset's `+`, as in `…T00:00:00 00:00`, is accepted.
    """
    try:
        if _EPOCH.fullmatch(text):
            number = float(text)
            instant_ms = int(number * 1000 if abs(number) < SECONDS_BELOW else number)
        else:
            if found := _SPACE_FOR_PLUS.fullmatch(text):
                text = "+".join(found.groups())
            instant = datetime.fromisoformat(text)
            instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
            instant_ms = int(instant.timestamp() * 1000)
    except (ValueError, OverflowError):
        instant_ms = -1
    if not EARLIEST_MS <= instant_ms <= EARLIEST_MS + 100 * 366 * DAY_MS:
        allowed = ("2026-11-22T08:00:00Z", "2026-11-22", "1795334400", "1795334400000")
        raise InvalidParameter(parameter, "must be a date or time after 2009", allowed)
    return instant_ms
