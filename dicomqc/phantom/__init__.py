"""Simulated coronary angiograms as DICOM: every pixel follows from (cohort seed, patient number, cine number)."""
