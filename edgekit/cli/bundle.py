"""`edgekit bundle inspect` and `edgekit bundle verify`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import bundle_argument
from edgekit.cli.output import json_option, print_json, print_rich


@click.group("bundle", epilog="Example: edgekit bundle inspect bundles/uav.tar")
def command() -> None:
    """Say what a bundle holds, or check that it is whole."""


@command.command("inspect", epilog="Example: edgekit bundle inspect bundles/uav.tar")
@bundle_argument
@json_option
def inspect(bundle: Path, as_json: bool) -> None:
    """Say what BUNDLE holds: tasks, artifacts, calibration, parity and metrics."""
    from edgekit.bundle.bundle import open_bundle
    from edgekit.bundle.summary import document, tables

    opened = open_bundle(bundle)
    if as_json:
        print_json(document(opened))
    else:
        print_rich(*tables(opened))


@command.command("verify", epilog="Example: edgekit bundle verify bundles/uav.tar")
@bundle_argument
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check that BUNDLE is whole: its schema, that nothing is missing, the SHA-256 of every file.

    Whether a runtime answers as it should is what `edgekit verify` checks.
    """
    from edgekit.bundle.bundle import open_bundle

    opened = open_bundle(bundle)
    files, size = len(opened.manifest.files), opened.size()
    if as_json:
        print_json({"bundle": str(bundle), "name": opened.manifest.name, "whole": True, "files": files, "bytes": size})
    else:
        click.echo(
            f"{bundle} is whole: schema {opened.manifest.schema}, {files} files of {size:,} bytes, all as exported"
        )
