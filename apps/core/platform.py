"""The fixed workspace of the platform team: it owns services, releases, policies and the SaaS environments."""

from uuid import UUID

PLATFORM_WORKSPACE_ID = UUID("00000000-0000-7000-8000-000000000001")
