"""A little real traffic for the demonstration: one or two requests a second on each lane, through the proxy.

`python -m deploy.local.traffic <lanes.json> <state.json>`. The portal writes the first file,
`{"lanes": [{"key": "calendar-dev", "port": 20001, "path": "/.web/"}, ...]}`, and may change it at any time; this
program keeps the second,
`{"since": ..., "lanes": {"calendar-dev": {"ok": 12, "failed": 0, "last_failure": null, ...}}}`.
Standard library only. A request has failed when no answer came or one of 5xx.
"""

import asyncio
import json
import os
import random
import signal
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

PAUSE_SECONDS = (0.5, 1.0)
ANSWER_SECONDS = 10
LOOK_SECONDS = 1.0


@dataclass
class Count:
    ok: int = 0
    failed: int = 0
    last_status: int | None = None
    last_failure: str | None = None
    last_failure_at: str | None = None

    def add(self, status: int | None, reason: str) -> None:
        self.last_status = status
        if status is not None and status < 500:
            self.ok += 1
            return
        self.failed += 1
        self.last_failure, self.last_failure_at = reason, now()


class Traffic:
    def __init__(self, lanes_file: Path, state_file: Path, pause: tuple[float, float] = PAUSE_SECONDS) -> None:
        self.lanes_file, self.state_file, self.pause = lanes_file, state_file, pause
        self.counts: dict[str, Count] = {}
        self.since = now()

    async def run(self) -> None:
        running: dict[tuple[str, int, str], asyncio.Task[None]] = {}
        try:
            while True:
                wanted = self.lanes()
                for lane in running.keys() - wanted:
                    running.pop(lane).cancel()
                for lane in wanted - running.keys():
                    running[lane] = asyncio.create_task(self.visit(*lane))
                self.write()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in running.values():
                task.cancel()
            self.write()

    async def visit(self, key: str, port: int, path: str) -> None:
        count = self.counts.setdefault(key, Count())
        while True:
            count.add(*await ask(port, path))
            await asyncio.sleep(random.uniform(*self.pause))  # noqa: S311  a pause, not a secret

    def lanes(self) -> set[tuple[str, int, str]]:
        try:
            rows = json.loads(self.lanes_file.read_text())["lanes"]
        except (FileNotFoundError, ValueError, KeyError):
            return set()
        return {(row["key"], int(row["port"]), row.get("path", "/")) for row in rows}

    def write(self) -> None:
        fresh = self.state_file.with_name(self.state_file.name + ".new")
        lanes = {key: asdict(count) for key, count in sorted(self.counts.items())}
        fresh.write_text(json.dumps({"since": self.since, "written_at": now(), "lanes": lanes}, indent=1))
        os.replace(fresh, self.state_file)


async def ask(port: int, path: str) -> tuple[int | None, str]:
    """Return the status of one GET request and what it was, or None and why no answer came."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                request = (
                    f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: demonstration\r\nConnection: close\r\n\r\n"
                )
                writer.write(request.encode())
                first = (await reader.readline()).decode("latin-1").strip()
                while await reader.read(65536):
                    pass
            finally:
                writer.close()
    except TimeoutError:
        return None, f"no answer in {ANSWER_SECONDS} s"
    except OSError as error:
        return None, error.strerror or str(error)
    parts = first.split(" ", 2)
    if len(parts) < 2 or not parts[1].isdigit():
        return None, "the connection was cut"
    return int(parts[1]), " ".join(parts[1:])


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


async def main(lanes_file: Path, state_file: Path) -> None:
    task = asyncio.create_task(Traffic(lanes_file, state_file).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
