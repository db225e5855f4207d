"""CVAT's XML for images, against shapes drawn by hand."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import numpy as np
import pytest

from edgekit.data.check import check_source
from edgekit.errors import EdgekitError

SPLITS = {"train": {"images": "train", "labels": "train.xml"}, "val": {"images": "val", "labels": "val.xml"}}
LABELS = "".join(f"<label><name>{n}</name><color>#fa3253</color></label>" for n in ("roof", "car"))


def image(name: str, shapes: str = "", height: object = 9, width: object = 12) -> str:
    return f'<image id="0" name={quoteattr(name)} width="{width}" height="{height}">{shapes}</image>'


def polygon(label: str, points: str, z_order: int = 0) -> str:
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="{z_order}"/>'


def box(label: str, *corners: float, more: str = 'z_order="0"') -> str:
    told = " ".join(f'{k}="{v}"' for k, v in zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True))
    return f'<box label="{label}" {told} {more}></box>'


@pytest.fixture
def write(root):
    def write(images: str, file: str = "train.xml", meta: str = "task") -> None:
        head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
        text = f"{head}<meta><{meta}><labels>{LABELS}</labels></{meta}></meta>{images}</annotations>"
        (root / file).write_text(text)

    write(image("v0.png", box("car", 0, 0, 12, 9)), "val.xml", meta="project")
    return write


def test_every_shape_with_an_area_in_the_order_of_their_layers(write, open_source, label_of):
    write(
        image(
            "t0.png",
            polygon("roof", "0,0;12,0;12,3;0,3", 2)
            + box("car", 2, 1, 6, 5)
            + '<ellipse label="car" cx="9" cy="6" rx="2.5" ry="1.5" z_order="0"/>'
            + '<mask label="roof" rle="1, 2, 2, 1" left="1" top="7" width="3" height="2" z_order="0"/>',
        )
        + image("t1.png", '<tag label="roof" source="manual"></tag>')
        + image("some/folder/t2.png", polygon("roof", "0,0;4,0;4,9;0,9")),
    )
    expected = np.zeros((9, 12), int)
    expected[1:5, 2:6] = 2
    for y in range(9):
        for x in range(12):
            if ((x + 0.5 - 9) / 2.5) ** 2 + ((y + 0.5 - 6) / 1.5) ** 2 <= 1:
                expected[y, x] = 2
    expected[7:9, 1:4][np.array([[0, 1, 1], [0, 0, 1]], bool)] = 1
    expected[:3] = 1
    source = open_source("cvat", splits=SPLITS, labelled="present")
    assert source.tasks["semantic"].classes == ("background", "roof", "car")
    assert [(f.name, f.labelled) for f in source.frames("train")] == [("t0", True), ("t1", False), ("t2", True)]
    assert (label_of(source, "t0") == expected).all()
    assert (label_of(source, "t2")[:, :4] == 1).all() and (label_of(source, "v0") == 2).all()


def test_points_are_refused_unless_their_class_is_ignored(write, open_source, label_of):
    write(image("t0.png", '<points label="car" points="1,1" z_order="0"/>' + box("roof", 0, 0, 12, 1)))
    with pytest.raises(EdgekitError, match="class 'car' has no area"):
        label_of(open_source("cvat", splits=SPLITS), "t0")
    label = label_of(open_source("cvat", splits=SPLITS, ignore=["car"]), "t0")
    assert (label[0] == 1).all() and (label[1:] == 0).all()


@pytest.mark.parametrize(
    ("shapes", "what"),
    [
        (polygon("tree", "0,0;1,0;1,1"), "class 'tree'"),
        (polygon("car", "0,0;1,0"), "at least three points"),
        (polygon("car", "0,0;1,0;1"), "5 coordinates"),
        (polygon("car", "0,0;1,0;a,b"), "points that are no numbers"),
        (polygon("car", "0,0;1,0;inf,nan"), "not finite"),
        (polygon("car", ""), "points that are no numbers"),
        (box("car", 0, 0, 3, 3, more='rotation="30"'), "rotated"),
        (box("car", 0, 0, "x", 3), "xbr of 'x', which is no number"),
        ('<box label="car" xtl="1"/>', "ytl of '', which is no number"),
        ('<mask label="car" rle="1, 2" left="0" top="0" width="3" height="2"/>', "run lengths of 3 pixels"),
        ('<mask label="car" rle="" left="0" top="0" width="3" height="2"/>', "run lengths that are no numbers"),
        ('<mask label="car" rle="9" left="0" top="0" width="99999999" height="99999999"/>', "height of .99999999."),
        ('<mask label="car" rle="6" left="nan" top="0" width="3" height="2"/>', "left of 'nan'"),
        ('<mask label="car" rle="6" left="inf" top="0" width="3" height="2"/>', "left of 'inf'"),
    ],
)
def test_a_bad_shape_makes_its_frame_bad_alone(write, root, open_source, label_of, shapes, what):
    good = box("roof", 0, 0, 3, 3)
    write(image("t0.png", good) + image("t1.png", good + shapes) + image("t2.png", good))
    source = open_source("cvat", splits=SPLITS)
    with pytest.raises(EdgekitError, match=what) as caught:
        label_of(source, "t1")
    assert caught.value.where == f"{root / 'train.xml'}: t1.png" and "\n" not in caught.value.what
    assert [bad.name for bad in check_source(source, "skip").bad] == ["t1"]


BILLION = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><annotations>&c;</annotations>'


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no XML"),
        ("<annotations>", "no XML"),
        ("\x00\x01", "no XML"),
        (BILLION, "entities"),
        (BILLION.encode("utf-16"), "no XML"),
        (f'<?xml version="1.0" encoding="cp037"?>{BILLION}'.encode("cp037"), "no XML"),
        ("<other/>", "not those of images"),
        ('<annotations><track id="0" label="car"/></annotations>', "not those of images"),
        (f"<annotations>{image('a.png', height=0)}</annotations>", "1 to 16384"),
        (f"<annotations>{image('a.png', width='nan')}</annotations>", "width of 'nan'"),
        (f"<annotations>{image('a.png', width='x')}</annotations>", "no number"),
        (f"<annotations>{image('t1.png') * 2}</annotations>", "two labels are for the image t1.png"),
        (f"<annotations>{image('a.png', polygon('car', '', 'top'))}</annotations>", "could not convert"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(write, root, open_source, text, what):
    (root / "train.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EdgekitError, match=what) as caught:
        open_source("cvat", splits=SPLITS)
    assert str(root / "train.xml") in caught.value.where and "\n" not in caught.value.what
