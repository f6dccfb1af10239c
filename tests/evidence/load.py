"""A browser device's web server under load: strangers ask for everything while a page measures."""

import http.client
import random
import tempfile
import threading
from collections import Counter
from functools import partial
from pathlib import Path

from evidence.part import Case, Figures, Part, case_seed
from support.page_client import TIMES, StandInPage, plan, serving

VISITS, REQUESTS = 500, 400
PATHS = ("/", "/favicon.ico", "/say?page=0&turn=0", "/hear?page=0", "/../../etc/passwd", "/%2e%2e/", "/alive?page=0")


def strangers(clients: int, *, seed: int) -> Figures:
    """Clients without the token, `REQUESTS` each, beside a page that answers `VISITS` visits."""
    statuses: Counter[int] = Counter()
    refused: Counter[str] = Counter()

    def ask(page: StandInPage, number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        for _ in range(REQUESTS):
            body = rng.randbytes(rng.randrange(200)) if rng.random() < 0.5 else None
            try:
                statuses[page.request("POST" if body is not None else "GET", rng.choice(PATHS), body).status] += 1
            except (OSError, http.client.HTTPException) as error:
                refused[type(error).__name__] += 1

    def behave(page: StandInPage) -> None:
        threads = [threading.Thread(target=ask, args=(page, number)) for number in range(clients)]
        for thread in threads:
            thread.start()
        page.measure()
        for thread in threads:
            thread.join()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.onnx").write_bytes(b"model")
        with serving(folder / "served", behave) as (device, _):
            runs = list(device.run(plan(folder, *["a.onnx"] * VISITS)))
    assert [(run.slot, run.times_ns) for run in runs] == [(slot, tuple(TIMES)) for slot in range(VISITS)]
    assert statuses.keys() <= {400, 403, 404, 405}, statuses
    return {"visits": len(runs), "answered": statuses.total(), "403": statuses[403], "hung up": refused.total()}


PART = Part(
    "load",
    "A page measures every visit once while clients without the token ask for everything, and they get nothing.",
    lambda seed: [
        Case(f"{clients} clients", partial(strangers, clients, seed=case_seed(seed, str(clients))))
        for clients in (1, 4, 16, 64)
    ],
)
