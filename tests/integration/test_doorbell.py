"""The embedded broker: many senders and readers at once, and every message is whole."""

import json
import threading
from pathlib import Path

from service.infra.queue import CeleryDoorbell, make_celery
from service.settings import Settings

RINGS = 200


def test_messages_in_the_folder_appear_whole(tmp_path: Path) -> None:
    doorbell = CeleryDoorbell(make_celery(Settings(data_dir=tmp_path)))
    folder = tmp_path / "broker" / "messages"
    rung = threading.Event()

    def ring() -> None:
        for _ in range(RINGS):
            doorbell.ring()
        rung.set()

    ringer = threading.Thread(target=ring)
    ringer.start()
    seen: set[Path] = set()
    while not rung.is_set() or len(seen) < len(list(folder.glob("*.msg"))):
        for path in set(folder.glob("[!.]*.msg")) - seen:
            assert "body" in json.loads(path.read_text())
            seen.add(path)
    ringer.join()
    assert len(seen) == RINGS
    assert list(folder.glob(".*")) == []


def test_a_ring_that_nobody_can_hear_is_no_error(tmp_path: Path) -> None:
    silent = Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0")
    CeleryDoorbell(make_celery(silent)).ring()
