"""The embedded broker: many senders and readers at once, and every message is whole."""

import json
import threading
import time
from pathlib import Path

from service.infra.queue import QUEUE, RING, CeleryDoorbell, make_celery
from service.settings import Settings

RINGS = 200


def test_messages_in_the_folder_appear_whole(tmp_path: Path) -> None:
    app = make_celery(Settings(data_dir=tmp_path))
    folder = tmp_path / "broker" / "messages"
    rung = threading.Event()

    def ring() -> None:
        for _ in range(RINGS):
            app.send_task(RING, queue=QUEUE, ignore_result=True)
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


def test_rings_arrive_and_those_at_the_same_time_become_few(tmp_path: Path) -> None:
    doorbell = CeleryDoorbell(make_celery(Settings(data_dir=tmp_path)))
    for _ in range(RINGS):
        doorbell.ring()
    doorbell.close()
    assert 1 <= len(list((tmp_path / "broker" / "messages").glob("*.msg"))) < RINGS


def test_a_ring_that_nobody_can_hear_is_no_error_and_holds_nobody_up(tmp_path: Path) -> None:
    doorbell = CeleryDoorbell(make_celery(Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0")))
    began = time.monotonic()
    doorbell.ring()
    assert time.monotonic() - began < 0.1
    doorbell.close()
    assert "doorbell" not in [thread.name for thread in threading.enumerate()]
