"""Training: recipe to run folder to published weights. Pixels, spec and network come from dicomqc; nothing goes back."""
