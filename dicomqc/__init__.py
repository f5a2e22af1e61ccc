"""dicomqc: a DICOM node that decides which coronary angiograms are worth using."""
