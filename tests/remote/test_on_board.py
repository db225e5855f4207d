import json

from edgekit.cli.main import main


def test_build(installed, jetson_bundle, capsys):
    capsys.readouterr()
    code = main(["build", str(jetson_bundle), "--precision", "fp16", "--json", "--on", "orin"])
    out, err = capsys.readouterr()
    print(out, err)
    assert code == 0
    assert json.loads(out)["kept"].startswith(str(installed.folder))
