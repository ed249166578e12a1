"""Days on which shops sell otherwise, and how far a date is from them."""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray


def easter(year: int) -> date:
    """Easter Sunday in the Gregorian calendar (the anonymous algorithm, after J. Meeus, 1991)."""
    golden, (century, rest) = year % 19, divmod(year, 100)
    leaps, skipped = divmod(century, 4)
    moved = (century - (century + 8) // 25 + 1) // 3
    moon = (19 * golden + century - leaps - moved + 15) % 30
    fourths, odd = divmod(rest, 4)
    weekday = (32 + 2 * skipped + 2 * fourths - moon - odd) % 7
    late = (golden + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def thanksgiving(year: int) -> date:
    """The fourth Thursday of November."""
    first = date(year, 11, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7 + 21)


def christmas(year: int) -> date:
    """The 25th of December."""
    return date(year, 12, 25)


FESTIVALS = {"easter": easter, "thanksgiving": thanksgiving, "christmas": christmas}


def days_to(name: str, dates: NDArray[np.datetime64], most: int = 35) -> NDArray[np.float64]:
    """Days from each date (n,) to the nearest such day: negative after it, at most `most`."""
    days = dates.astype("datetime64[D]")
    years = days.astype("datetime64[Y]").astype(int) + 1970
    found = np.full(len(days), np.inf)
    for year in range(int(years.min()) - 1, int(years.max()) + 2):
        away = (np.datetime64(FESTIVALS[name](year)) - days).astype(np.float64)
        found = np.where(np.abs(away) < np.abs(found), away, found)
    return np.clip(found, -most, most)
