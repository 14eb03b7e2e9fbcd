"""Starts the gateway. Installed by pip, the same program is the command `crypto-gateway`."""

from api.command_line import run_command

if __name__ == "__main__":
    run_command()
