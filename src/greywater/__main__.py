"""`python -m greywater`: the command line."""

from greywater.cli.main import run

if __name__ == "__main__":
    run()
