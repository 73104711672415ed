"""Charts on Kubernetes, by the real helm, version 3 or 4 (ADR 0061). `HelmExecutor` is what the engine gets."""

from apps.deployments.executors.helm.executor import Clocks, HelmExecutor, HelmStep

__all__ = ["Clocks", "HelmExecutor", "HelmStep"]
