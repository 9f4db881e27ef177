"""`tidegate sniff PORT`: listens to a serial line, and says what its units are asked and say. It never writes."""

from datetime import datetime

import click

from tidegate.acquire.surveys import of_address, surveys
from tidegate.cli.surveyed import printer, until_stopped


@click.command()
@click.argument("port", metavar="/dev/PORT")
@click.option("--baud", help="Speed of the line.")
@click.option("--parity", help="n, e or o; n unless given.")
@click.option("--stop", help="Stop bits, 1 or 2.")
@click.option("--auto", is_flag=True, help="Try the usual settings in turn, by listening only.")
@click.option("--each", metavar="DURATION", help="With --auto: how long each is listened to; 3s unless given.")
@click.option("--seconds", metavar="DURATION", help="Stop after 30s, 10min ...; until Ctrl-C unless given.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each thing that is heard.")
def command(
    port: str,
    baud: str | None,
    parity: str | None,
    stop: str | None,
    auto: bool,
    each: str | None,
    seconds: str | None,
    as_json: bool,
) -> None:
    """Listen to the line on PORT, where somebody else asks: each question and reply, then a summary for each unit.

    ascii:///dev/ttyUSB0 is a line of Modbus ASCII. Nothing is ever written: the port is opened to read only. A gateway
    that runs on the same port keeps it for itself; listen with a second adapter on the same wires.
    """
    settings = {"baud": baud, "parity": parity or ("" if auto else "n"), "stop": stop, "seconds": seconds, "each": each}
    wishes = {name: text for name, text in settings.items() if text} | ({"auto": "true"} if auto else {})
    try:
        listener = of_address(surveys(), port, listening=True).listen(port, wishes)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    show = printer(as_json)
    # What is heard carries seconds from here on.
    click.echo(f"Listening to {port} from {datetime.now().astimezone().isoformat(' ', 'milliseconds')} on", err=True)
    try:
        until_stopped(listener.run(show))
    finally:
        summary = listener.summary()
        if summary is not None:
            show(summary)
