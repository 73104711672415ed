"""The life of an attempt: claimed, journaled, kept alive, verified, ended or taken back (docs/adr/0020)."""
