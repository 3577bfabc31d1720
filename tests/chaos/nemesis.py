"""Kills, freezes and empties whatever it can reach, in an order that its seed decides."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import psutil
import redis

from tests.chaos.cluster import LEASE_SECONDS, Cluster, Redis, kill

PAUSE_SECONDS = (0.2, 1.2)
FREEZE_SECONDS = 1.7 * LEASE_SECONDS


class Nemesis(threading.Thread):
    """Does one evil after the other until it is stopped; ``deeds`` counts them by kind."""

    def __init__(self, cluster: Cluster, broker: Redis | None, seed: int) -> None:
        super().__init__(name="nemesis", daemon=True)
        self._cluster = cluster
        self._broker = broker
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self.deeds: Counter[str] = Counter()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Be evil until ``stop``."""
        deeds: dict[str, tuple[int, Callable[[], bool]]] = {
            "kill -9 trainer": (4, lambda: self._signal("trainer", signal.SIGKILL)),
            "kill -9 worker": (4, lambda: self._signal("worker", signal.SIGKILL)),
            "kill -9 API": (2, lambda: self._signal("api", signal.SIGKILL)),
            "SIGTERM worker": (2, lambda: self._signal("worker", signal.SIGTERM)),
            "SIGTERM API": (1, lambda: self._signal("api", signal.SIGTERM)),
            "freeze worker longer than the lease": (1, lambda: self._freeze("worker")),
            "freeze trainer": (1, lambda: self._freeze("trainer")),
        }
        if self._broker is not None:
            deeds |= {"FLUSHALL": (1, self._flush), "kill -9 Redis": (1, self._restart_broker)}
        names, weights = list(deeds), [weight for weight, _ in deeds.values()]
        try:
            while not self._stopping.wait(self._random.uniform(*PAUSE_SECONDS)):
                (name,) = self._random.choices(names, weights)
                self.deeds[name] += deeds[name][1]()
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        """Stop; what it has frozen or killed is back then."""
        self._stopping.set()
        self.join()
        assert self.failure is None, self.failure

    def _signal(self, role: str, number: signal.Signals) -> bool:
        process = self._choose(role)
        return process is not None and kill(process, number)

    def _choose(self, role: str) -> psutil.Process | None:
        processes = self._cluster.processes(role)
        return self._random.choice(processes) if processes else None

    def _freeze(self, role: str) -> bool:
        process = self._choose(role)
        if process is None or not kill(process, signal.SIGSTOP):
            return False
        time.sleep(FREEZE_SECONDS)
        kill(process, signal.SIGCONT)
        return True

    def _flush(self) -> bool:
        assert self._broker is not None
        with redis.Redis.from_url(self._broker.url) as client:
            client.flushall()
        return True

    def _restart_broker(self) -> bool:
        assert self._broker is not None
        self._broker.kill()
        time.sleep(self._random.uniform(0.2, 2))
        self._broker.start()
        return True
