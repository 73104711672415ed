"""What stands on the target for a lane: its backend in the proxy, a supervised program for each of its two slots."""

from pathlib import Path

from apps.core.crashpoints import crashpoint
from apps.deployments.executors.contract import (
    ConfigurationRef,
    ReleaseRef,
    Slot,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.installation import Installation
from apps.deployments.executors.lane import Lane, SlotRecord
from apps.deployments.executors.manifest import program_wheel
from apps.integrations import http_request
from apps.integrations.haproxy import FULL_WEIGHT, Backend, Haproxy, HaproxyError, PortTaken
from apps.integrations.supervisord import Supervisor

_EMPTY_ENVIRONMENT = ("/usr/bin/env", "-i", "LANG=C.UTF-8", "PATH=/usr/bin:/bin", "PYTHONUNBUFFERED=1")


def all_to(slot: Slot | None) -> dict[str, int]:
    """Return the weights that bring all traffic to a slot, or none to any."""
    return {each.value: FULL_WEIGHT if each is slot else 0 for each in Slot}


class Slots:
    def __init__(
        self,
        *,
        target_dir: Path,
        socket_dir: Path,
        launcher: Path,
        installation: Installation,
        proxy: Haproxy,
        supervisor: Supervisor,
    ) -> None:
        self.target_dir, self.socket_dir, self.launcher = target_dir, socket_dir, launcher
        self.installation, self.proxy, self.supervisor = installation, proxy, supervisor

    def ensure(self, *targets: TargetRef) -> None:
        """Make the proxy know these lanes. Raises TargetUntouched: invalid, a port is taken, or the proxy is away."""
        try:
            self.proxy.add(*(self.backend(target) for target in targets))
        except ValueError as error:
            raise TargetUntouched(f"The lane can't be set up: {error}.", retry=False, code="target-invalid") from error
        except PortTaken as error:
            raise TargetUntouched(str(error), retry=False, code="port-taken") from error
        except HaproxyError as error:
            raise TargetUntouched(str(error), code="proxy") from error

    def backend(self, target: TargetRef) -> Backend:
        lane = self.lane(target)
        return Backend(
            name=lane.key,
            port=target.port,
            health_path=target.health_path,
            servers={slot.value: self.socket_of(lane, slot) for slot in Slot},
        )

    def lane(self, target: TargetRef) -> Lane:
        return Lane(self.target_dir, target.lane_key)

    def socket_of(self, lane: Lane, slot: Slot) -> Path:
        return self.socket_dir / f"{lane.key}-{slot.value}.sock"

    def program_name(self, lane: Lane, slot: Slot) -> str:
        return f"{lane.key}-{slot.value}"

    def loaded(self, lane: Lane) -> list[Slot]:
        """Return the slots that have traffic, the one with the most first."""
        if not self.proxy.knows(lane.key):
            return []
        weights = self.proxy.weights(lane.key)
        return sorted((slot for slot in Slot if weights[slot.value]), key=lambda slot: -weights[slot.value])

    def is_up(self, lane: Lane, slot: Slot) -> bool:
        return self.proxy.servers(lane.key)[slot.value].is_up

    def accepts(self, lane: Lane, slot: Slot) -> bool:
        return http_request.get("/", to=self.socket_of(lane, slot), timeout=2).status is not None

    def holds(self, target: TargetRef, slot: Slot, release: ReleaseRef, configuration: ConfigurationRef) -> bool:
        lane = self.lane(target)
        record = lane.record(slot)
        if not record or (record.digest, record.configuration) != (release.digest, configuration.number):
            return False
        return self.is_alive(lane, slot) and not self.stranger(target, slot)

    def is_alive(self, lane: Lane, slot: Slot) -> bool:
        state = self.supervisor.state(self.program_name(lane, slot))
        return state is not None and state.is_alive

    def is_dead(self, target: TargetRef, slot: Slot) -> bool:
        return not self.is_alive(self.lane(target), slot) and not self.stranger(target, slot)

    def stranger(self, target: TargetRef, slot: Slot) -> str:
        """Say what runs in a slot where a person must have put it there, since its record says something else.

        Whoever doesn't answer, or fails without a word of its version, is not healthy, and no stranger for that.
        """
        lane = self.lane(target)
        record, is_kept = lane.record(slot), self.is_alive(lane, slot)
        answer = http_request.get(target.health_path, to=self.socket_of(lane, slot), timeout=2)
        if answer.status is None and not (is_kept and record is None):
            return ""
        if record is None or not is_kept:
            return f"{slot.value} runs a program that the portal has not started"
        version = answer.headers.get("x-release", "")
        if version == record.version or not (version or answer.is_good):
            return ""
        return f"{slot.value} answers as {version or 'no release'}, not as {record.version}"

    def start(
        self, lane: Lane, slot: Slot, record: SlotRecord, release: ReleaseRef, configuration: ConfigurationRef
    ) -> None:
        """Put a release into an idle slot: what ran there ends, the record is written, the program starts."""
        self.stop(lane, slot)
        crashpoint("slot_emptied")
        lane.write_record(slot, record)
        crashpoint("slot_recorded")
        program_file = lane.write_program(
            slot,
            {
                "program": record.program,
                "version": record.version,
                "wheel": program_wheel(release).version,
                "socket": str(self.socket_of(lane, slot)),
                "data": str(lane.data_folder),
                "configuration": str(lane.slot_folder(slot) / "configuration.json"),
            },
            configuration.values,
        )
        crashpoint("slot_written")
        python = self.installation.python(release.digest)
        if not python.exists():
            raise TargetUntouched(f"{release.version} is not installed here.", code="not-installed")
        self.supervisor.add(
            self.program_name(lane, slot),
            # supervisord would hand down its own environment, which holds the portal's secrets.
            [*_EMPTY_ENVIRONMENT, str(python), "-I", "-B", str(self.launcher), str(program_file)],
            folder=lane.slot_folder(slot),
            log_file=lane.slot_folder(slot) / "output.log",
        )

    def stop(self, lane: Lane, slot: Slot) -> bool:
        stopped = self.supervisor.remove(self.program_name(lane, slot))
        self.socket_of(lane, slot).unlink(missing_ok=True)
        lane.forget(slot)
        return stopped
