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
        _tell_strays(opened.strays())


@command.command("verify", epilog="Example: edgekit bundle verify bundles/uav.tar")
@bundle_argument
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check that BUNDLE is whole: its schema, that nothing is missing, the SHA-256 of every file.

    Files that lie in its directory and are no part of it are listed. Whether a runtime answers as it should is what
    `edgekit verify` checks.
    """
    from edgekit.bundle.bundle import open_bundle

    opened = open_bundle(bundle)
    manifest, size, strays = opened.manifest, opened.size(), opened.strays()
    if as_json:
        about = {"bundle": str(bundle), "name": manifest.name, "whole": True}
        print_json({**about, "files": len(manifest.files), "bytes": size, "not_part_of_it": strays})
        return
    click.echo(
        f"{bundle} is whole: schema {manifest.schema}, {len(manifest.files)} files of {size:,} bytes, all as exported"
    )
    _tell_strays(strays)


def _tell_strays(strays: list[str]) -> None:
    if strays:
        click.echo(f"beside its files, not part of the bundle and never read: {', '.join(strays)}")
