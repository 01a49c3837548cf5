"""Throughput and latency of a running server, at several numbers of clients.

    likebut serve GALLERY &
    python benchmarks/serving.py http://127.0.0.1:8333 --clients 1 8 32 --seconds 20

Each client sends searches in sequence over its own connection: an image of the gallery with a modification text, or
with --query text or upload a text only or an image's bytes with a text. Reports the time until the response is
complete and, from /metrics, the number of queries that the model encodes together.
"""

import argparse
import http.client
import json
import os
import platform
import random
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TEXTS = ("in red", "with longer sleeves", "without a print", "in a lighter blue", "striped", "for children", "shorter")


@dataclass
class Outcome:
    """The measurements of one run's clients."""

    seconds: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    refused: int = 0


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=60)


def call(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", kind: str = "") -> Any:
    headers = {"Content-Type": kind} if kind else {}
    if token := os.environ.get("LIKEBUT_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    connection.request(method, path, body or None, headers)
    response = connection.getresponse()
    return response.status, response.read()


def searches(url: str, query: str) -> list[tuple[bytes, str]]:
    """Return bodies of searches with their content types."""
    connection = connect(url)
    status, content = call(connection, "GET", "/v1/images?limit=200")
    if status != 200:
        sys.exit(f"{url} returned {status}: {content.decode()[:300]}")
    ids = [image["id"] for image in json.loads(content)["images"]]
    if not ids:
        sys.exit("The gallery is empty.")
    if query == "upload":
        return [upload(call(connection, "GET", f"/v1/images/{each}/picture")[1]) for each in ids[:50]]
    bodies = [{"text": text} | ({"image_id": each} if query == "composed" else {}) for each in ids for text in TEXTS]
    return [(json.dumps(body).encode(), "application/json") for body in bodies]


def upload(image: bytes) -> tuple[bytes, str]:
    parts = f'--edge\r\nContent-Disposition: form-data; name="text"\r\n\r\n{random.choice(TEXTS)}\r\n--edge\r\n'
    parts += 'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return parts.encode() + image + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def run(url: str, bodies: list[tuple[bytes, str]], clients: int, seconds: float) -> Outcome:
    outcome = Outcome()
    until = time.perf_counter() + seconds

    def client(seed: int) -> None:
        choice = random.Random(seed)
        connection = connect(url)
        while time.perf_counter() < until:
            body, kind = choice.choice(bodies)
            started = time.perf_counter()
            status, content = call(connection, "POST", "/v1/search", body, kind)
            if status == 200:
                outcome.seconds.append(time.perf_counter() - started)
                outcome.stages.append(json.loads(content)["timings"])
            else:
                outcome.refused += 1
                time.sleep(0.1)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def batches(url: str) -> tuple[float, float]:
    """Return the number of items that the model has encoded for queries so far, and of batches."""
    _, content = call(connect(url), "GET", "/metrics")
    items = calls = 0.0
    for line in content.decode().splitlines():
        if line.startswith("likebut_model_batch_size_sum"):
            items += float(line.rsplit(" ", 1)[1])
        elif line.startswith("likebut_model_batch_size_count"):
            calls += float(line.rsplit(" ", 1)[1])
    return items, calls


def measure(url: str, bodies: list[tuple[bytes, str]], clients: int, seconds: float) -> dict[str, Any]:
    run(url, bodies, clients, min(seconds, 2.0))  # warm-up
    before = batches(url)
    outcome = run(url, bodies, clients, seconds)
    items, calls = (after - earlier for after, earlier in zip(batches(url), before, strict=True))
    if not outcome.seconds:
        sys.exit(f"All {outcome.refused} searches were refused.")
    quantiles = statistics.quantiles(outcome.seconds, n=20) if len(outcome.seconds) > 1 else outcome.seconds * 19
    stages = {name: statistics.median(each[name] for each in outcome.stages) for name in outcome.stages[0]}
    return {
        "clients": clients,
        "searches_per_second": round(len(outcome.seconds) / seconds, 2),
        "p50_ms": round(1000 * quantiles[9], 1),
        "p95_ms": round(1000 * quantiles[18], 1),
        "refused": outcome.refused,
        "mean_batch": round(items / max(calls, 1), 2),
        "median_stage_ms": {name: round(value, 1) for name, value in stages.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="The server's address.")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=20.0, help="Length of each run.")
    parser.add_argument("--query", choices=("composed", "text", "upload"), default="composed")
    arguments = parser.parse_args()
    bodies = searches(arguments.url, arguments.query)
    _, content = call(connect(arguments.url), "GET", "/v1/galleries")
    gallery = json.loads(content)["galleries"][0]
    head = {
        "query": arguments.query,
        "images": gallery["images"],
        "model": gallery["model"],
        "date": time.strftime("%Y-%m-%d"),
        "processors": os.cpu_count(),
        "machine": platform.machine(),
    }
    runs = [measure(arguments.url, bodies, clients, arguments.seconds) for clients in arguments.clients]
    print(json.dumps(head | {"runs": runs}, indent=2))


if __name__ == "__main__":
    main()
