"""`python -m dicomqc` is `dicomqc`."""

from dicomqc.cli.main import main

if __name__ == "__main__":
    main()
