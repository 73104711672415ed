"""What stands on the target for a lane: its backend in the proxy, a supervised program for each of its two slots."""

from pathlib import Path

from apps.core.crashpoints import crashpoint
from apps.deployments.executors.contract import (
    ConfigurationRef,
    OutcomeUnknown,
    ReleaseRef,
    Slot,
    TargetRef,
    TargetUntouched,
)
from apps.deployments.executors.installation import Installation
from apps.deployments.executors.lane import Lane, SlotRecord
from apps.deployments.executors.manifest import program_wheel
from apps.integrations import http_request
from apps.integrations.haproxy import Backend, Haproxy, HaproxyError, PortTaken
from apps.integrations.supervisord import Supervisor

_EMPTY_ENVIRONMENT = ("/usr/bin/env", "-i", "LANG=C.UTF-8", "PATH=/usr/bin:/bin", "PYTHONUNBUFFERED=1")


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

    def serving(self, lane: Lane) -> Slot | None:
        if not self.proxy.knows(lane.key):
            return None
        servers = self.proxy.servers(lane.key)
        loaded = [slot for slot in Slot if servers[slot.value].weight > 0]
        if len(loaded) > 1:
            raise OutcomeUnknown("Both slots have traffic: a switch was cut in two.")
        return loaded[0] if loaded else None

    def is_up(self, lane: Lane, slot: Slot) -> bool:
        return self.proxy.servers(lane.key)[slot.value].is_up

    def accepts(self, lane: Lane, slot: Slot) -> bool:
        return http_request.get("/", to=self.socket_of(lane, slot), timeout=2).status is not None

    def holds(self, lane: Lane, slot: Slot, release: ReleaseRef, configuration: ConfigurationRef) -> bool:
        record = lane.record(slot)
        if not record or (record.digest, record.configuration) != (release.digest, configuration.number):
            return False
        state = self.supervisor.state(self.program_name(lane, slot))
        return state is not None and state.is_alive

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
