"""What runs a network on a machine: grey levels in, logits out, by OpenVINO on a CPU or by PyTorch anywhere."""
