"""The DICOM door: what is admitted, how it is stored, and what the peer is told; the acceptor is a replaceable part."""
