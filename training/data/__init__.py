"""Clips and patient-level splits."""
