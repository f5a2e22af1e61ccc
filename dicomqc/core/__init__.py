"""Plain values, tables and pure decisions: standard library only, no IO, no clock, no logging."""
