"""Pipelines of Tekton, a PipelineRun for each deployment (ADR 0064). `TektonExecutor` is what the engine gets."""

from apps.deployments.executors.tekton.executor import TektonExecutor

__all__ = ["TektonExecutor"]
