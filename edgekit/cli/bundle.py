"""`edgekit bundle inspect` and `edgekit bundle verify`."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import bundle_argument
from edgekit.cli.output import json_option, print_json, print_rich


@click.group("bundle", epilog="Example: edgekit bundle inspect bundles/uav.tar")
def command() -> None:
    """Show what a bundle holds, or check that it is whole."""


@command.command("inspect", epilog="Example: edgekit bundle inspect bundles/uav.tar")
@bundle_argument
@json_option
def inspect(bundle: Path, as_json: bool) -> None:
    """Show what BUNDLE holds: tasks, artifacts, calibration, parity and metrics."""
    from edgekit.bundle.bundle import open_bundle
    from edgekit.bundle.summary import bundle_document, tables

    opened = open_bundle(bundle)
    if as_json:
        print_json(bundle_document(opened))
    else:
        print_rich(*tables(opened))
        _print_strays(opened.strays())


@command.command("verify", epilog="Example: edgekit bundle verify bundles/uav.tar")
@bundle_argument
@json_option
def verify(bundle: Path, as_json: bool) -> None:
    """Check that BUNDLE is whole: its schema, that nothing is missing, the SHA-256 of every file.

    Other files in its directory are listed. Whether a runtime gives the right answers is checked by `edgekit verify`.
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
    _print_strays(strays)


def _print_strays(strays: list[str]) -> None:
    if strays:
        click.echo(f"other files in its folder, not part of the bundle and never read: {', '.join(strays)}")
