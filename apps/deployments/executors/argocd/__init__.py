"""Applications of Argo CD, by its REST API (ADR 0062). `ArgocdExecutor` is what the engine gets."""

from apps.deployments.executors.argocd.executor import ArgocdExecutor

__all__ = ["ArgocdExecutor"]
