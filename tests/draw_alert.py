"""Draw images/alert.png: when alarms tell a drift that grows over hours, in simulated traffic.

    python -m tests.draw_alert        # a minute or two

MOID is multiplied by a factor that grows from 1 to 1.5. The picture shows when our alerts are on, and when
the Wasserstein distance is above 0.1, which tests/benchmark_alerts.py describes.
"""

import numpy as np

from asteroids.physics import MOID
from images.alert import Run, Told, draw_alerts
from images.make_images import FOLDER, shrink
from tests.benchmark_alerts import DRIFT_STEP, other_alarms
from tests.support.alarms import watch
from tests.support.simulated_traffic import HOUR, Drift, export, send

RATES = (5, 50)
START, GROWN, END = 1 * HOUR, 6 * HOUR, 7 * HOUR
DRIFT = Drift(START, END, factors={MOID: 1.5}, ramp=GROWN - START)
ALERTS = {"MinorDrift": "notice", "OutOfRange": "urgent", "MajorDrift": "urgent"}
OTHER = "Wasserstein > 0.1"


def run(rate: float, seconds: np.ndarray) -> Run:
    """Return when each alarm was on, at these times, with so many requests a second."""
    traffic = send(rate, END / HOUR, DRIFT, step=DRIFT_STEP)
    ours, others = watch(export(traffic), step=DRIFT_STEP), other_alarms(traffic)
    told = [Told(name, kind, np.resize(ours.of(name), len(seconds))) for name, kind in ALERTS.items()]
    # A step's counts are scraped at its end.
    return Run(rate, [*told, Told(OTHER, "other", np.append(False, others[OTHER]))])


def main() -> None:
    seconds = np.arange(0, END + DRIFT_STEP, DRIFT_STEP)
    # At the last moment the drift is over.
    factor = 1 + (DRIFT.factors[MOID] - 1) * DRIFT.strength(np.minimum(seconds, END - DRIFT_STEP))
    file = FOLDER / "alert.png"
    draw_alerts((seconds - START) / HOUR, factor, "MOID", [run(rate, seconds) for rate in RATES]).save(file)
    shrink(file)
    print(file)


if __name__ == "__main__":
    main()
