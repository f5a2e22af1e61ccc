"""The command line: what PACS administrators, data managers and scripts type. The only importer of click."""
