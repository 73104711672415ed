"""Workflows of GitHub Actions and pipelines of GitLab, run for each deployment (ADR 0063)."""

from apps.deployments.executors.workflow.github import GithubExecutor
from apps.deployments.executors.workflow.gitlab import GitlabExecutor

__all__ = ["GithubExecutor", "GitlabExecutor"]
