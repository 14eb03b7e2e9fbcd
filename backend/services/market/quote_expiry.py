"""Figures that no provider has reported for too long are not served."""

from datetime import datetime, timedelta

from backend.services.market.coin_book import CoinBook, without_figures


class QuoteExpiry:
    """Hides the figures of rows that no provider has reported for `max_age_s` seconds.

    While ranked lists fail, a venue renews its own coins only, and the prices of the others would
    stay for ever. Such a row keeps its names, its rank and its stamp. The time of the report
    counts, not the row's own stamp: a coin that is no longer traded has an old stamp, and is served
    as it is reported. The book keeps the hidden figures, to compare later prices with them.
    """

    def __init__(self, max_age_s: float) -> None:
        self._max_age = timedelta(seconds=max_age_s)

    def __repr__(self) -> str:
        return f"<QuoteExpiry {self._max_age.total_seconds():g} s>"

    def expire(self, book: CoinBook, now: datetime) -> tuple[str, ...]:
        """Decides which rows are visible with their figures; returns a warning about the others."""
        oldest, hidden = now - self._max_age, 0
        for record in book.records:
            record.seen_at = record.seen_at or now
            if record.seen_at >= oldest:
                book.show(record, record.coin)
            else:
                hidden += 1
                if record.visible is record.coin:  # once: streams compare rows by identity
                    book.show(record, without_figures(record.coin))
        if not hidden:
            return ()
        hours = self._max_age.total_seconds() / 3_600
        return (
            f"{hidden} rows have no figures: no provider has reported their price for {hours:g} h",
        )
