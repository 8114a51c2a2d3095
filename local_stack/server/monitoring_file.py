"""The file by which a stack tells its pages of the monitoring: where it is, and what it is to show."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MONITORING = "monitoring.json"  # in the home of the stack


@dataclass(frozen=True)
class Monitoring:
    """Addresses of what runs, and the path of a dashboard; "" for what there is not."""

    prometheus: str = ""
    alertmanager: str = ""
    dashboard: str = ""

    def write(self, home: Path) -> None:
        new = home / f"{MONITORING}.new"
        new.write_text(json.dumps(asdict(self)))
        new.replace(home / MONITORING)  # at once: the pages may be reading it

    @classmethod
    def read(cls, file: Path | None) -> "Monitoring":
        """Return what the file tells: nothing if it is not there."""
        try:
            return cls(**json.loads(file.read_text())) if file else cls()
        except (OSError, ValueError, TypeError):
            return cls()
