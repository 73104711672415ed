"""Flux, by its HelmReleases and Kustomizations (ADR 0064). `FluxExecutor` is what the engine gets."""

from apps.deployments.executors.flux.executor import FluxExecutor

__all__ = ["FluxExecutor"]
