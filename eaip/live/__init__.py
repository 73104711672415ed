"""The live endpoint: one stream per page, beside the pages and on the event loop (docs/adr/0030-live-endpoint.md)."""
