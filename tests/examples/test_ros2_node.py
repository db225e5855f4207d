"""The ROS 2 node over a small stand-in for rclpy: what it publishes, and at what size."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

FILE = Path(__file__).parents[2] / "examples" / "ros2_node.py"


def example():
    spec = importlib.util.spec_from_file_location("ros2_node", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Image:
    def __init__(self):
        self.header, self.height, self.width, self.encoding = None, 0, 0, ""
        self.is_bigendian, self.step, self.data = 0, 0, b""


class String:
    def __init__(self, data=""):
        self.data = data


class Publisher:
    def __init__(self):
        self.messages = []

    def publish(self, message):
        self.messages.append(message)


class Node:
    parameters: ClassVar[dict] = {}

    def __init__(self, name):
        self.publishers, self.callback, self.said = {}, None, []

    def declare_parameter(self, name, default):
        return types.SimpleNamespace(value=self.parameters.get(name, default))

    def create_publisher(self, kind, topic, quality):
        self.publishers[topic] = Publisher()
        return self.publishers[topic]

    def create_subscription(self, kind, topic, callback, quality):
        assert quality.depth == 1
        self.callback = callback

    def get_logger(self):
        return types.SimpleNamespace(info=self.said.append, error=lambda text, once: self.said.append(text))

    def destroy_node(self):
        pass


@pytest.fixture
def node(monkeypatch, tiny_bundle):
    qos = types.SimpleNamespace(
        DurabilityPolicy=types.SimpleNamespace(TRANSIENT_LOCAL=1),
        QoSProfile=lambda **settings: types.SimpleNamespace(**settings),
        qos_profile_sensor_data=types.SimpleNamespace(reliability=2),
    )
    for name, module in {
        "rclpy": types.SimpleNamespace(),
        "rclpy.node": types.SimpleNamespace(Node=Node),
        "rclpy.qos": qos,
        "sensor_msgs": types.SimpleNamespace(),
        "sensor_msgs.msg": types.SimpleNamespace(Image=Image),
        "std_msgs": types.SimpleNamespace(),
        "std_msgs.msg": types.SimpleNamespace(String=String),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Node, "parameters", {"bundle": str(tiny_bundle)})
    made = example().make_node()
    yield made
    made.destroy_node()


def image(encoding: str, colour: tuple[int, int, int]) -> Image:
    message = Image()
    message.height, message.width, message.encoding, message.header = 50, 70, encoding, "stamp"
    message.step = 3 * 70 + 6  # rows are padded
    rows = np.zeros((50, message.step), np.uint8)
    rows[:, : 3 * 70] = np.tile(np.array(colour, np.uint8), 70)
    message.data = rows.tobytes()
    return message


@pytest.mark.parametrize(("encoding", "colour"), [("rgb8", (250, 20, 20)), ("bgr8", (20, 20, 250))])
def test_what_is_published(node, encoding, colour):
    node.callback(image(encoding, colour))
    topics = {t: p.messages[-1] for t, p in node.publishers.items() if p.messages and isinstance(p.messages[-1], Image)}
    assert topics.keys() == {"~/semantic/classes", "~/semantic/confidence", "~/depth/depth"}
    for message in topics.values():
        assert (message.height, message.width, message.header) == (50, 70, "stamp")
        assert len(message.data) == message.step * message.height
    classes = np.frombuffer(topics["~/semantic/classes"].data, np.uint8)
    assert np.all(classes == 0)  # the tiny network's first class is red
    depth = np.frombuffer(topics["~/depth/depth"].data, np.float32)
    assert topics["~/depth/depth"].encoding == "32FC1" and np.all((depth >= 1) & (depth <= 100))


def test_labels_are_published_once(node):
    (message,) = node.publishers["~/semantic/labels"].messages
    assert json.loads(message.data) == ["red", "green", "blue"]


def test_another_encoding_is_told(node):
    node.callback(image("mono16", (0, 0, 0)))
    assert "give rgb8 or bgr8" in node.said[-1]
    assert not node.publishers["~/depth/depth"].messages
