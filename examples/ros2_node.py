#!/usr/bin/env python3
"""A ROS 2 node that publishes what a bundle sees: class map, confidence and metric depth.

    python3 ros2_node.py --ros-args -p bundle:=/opt/bundles/uav -p backend:=tensorrt -r image:=/camera/image

Subscribes `image` (sensor_msgs/Image, rgb8 or bgr8). Publishes, with the image's own header and size, for each task of
the bundle what there is of: `~/<task>/classes` (mono8, class index), `~/<task>/confidence` (mono8, 0 to 255),
`~/<task>/mask` (mono8) and `~/<task>/depth` (32FC1, metres). `~/<task>/labels` (std_msgs/String, latched) says which
class has which index. While a frame is worked on newer ones replace each other, so the node never falls behind.
It has not yet run on a Jetson.
"""

from __future__ import annotations

import json
import sys

import numpy as np

import edgekit
from edgekit.errors import EdgekitError

ENCODINGS = {"rgb8": "rgb", "bgr8": "bgr"}
TOPICS = {"classes": "mono8", "confidence": "mono8", "mask": "mono8", "depth": "32FC1"}


def image_array(message) -> np.ndarray:
    """The (H, W, 3) uint8 pixels of a sensor_msgs/Image of three channels; its rows may be padded."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return rows[:, : 3 * message.width].reshape(message.height, message.width, 3)


def fill_image(message, array: np.ndarray, encoding: str, header):
    """A sensor_msgs/Image of one channel."""
    message.header = header
    message.height, message.width = array.shape
    message.encoding = encoding
    message.is_bigendian = int(sys.byteorder == "big")
    message.step = array.shape[1] * array.itemsize
    message.data = np.ascontiguousarray(array).tobytes()
    return message


def wanted_results(predictor) -> dict[str, str]:
    """Result name → topic below the node's name, for the forms that are published."""
    found = {}
    for name, result in predictor.results.items():
        if result.form in TOPICS:
            found[name] = f"{result.task.name}/{result.form}"
    return found


def make_node():
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    class Perception(Node):
        def __init__(self) -> None:
            super().__init__("edgekit")
            bundle = self.declare_parameter("bundle", "").value
            backend = self.declare_parameter("backend", "onnxruntime").value
            engine = self.declare_parameter("engine", "").value
            self.predictor = edgekit.load(bundle, backend=backend, engine=engine or None)
            if list(self.predictor.blank()) != ["rgb"]:
                raise ValueError("the network sees more than rgb, and this node gives it rgb alone")
            self.topics = wanted_results(self.predictor)
            self.predictor.outputs = list(self.topics)
            self.publishers_ = {n: self.create_publisher(Image, f"~/{t}", 1) for n, t in self.topics.items()}
            self._publish_labels(String, QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
            # depth 1: while one frame is worked on, the newest waits and the others are gone
            quality = QoSProfile(depth=1, reliability=qos_profile_sensor_data.reliability)
            self.create_subscription(Image, "image", self.on_image, quality)
            self.get_logger().info(f"running {json.dumps(self.predictor.describe())}")

        def _publish_labels(self, kind, quality) -> None:
            self.labels = []  # a publisher that is dropped forgets its latched message
            for task in self.predictor.tasks:
                if task.classes:
                    publisher = self.create_publisher(kind, f"~/{task.name}/labels", quality)
                    publisher.publish(kind(data=json.dumps(list(task.classes))))
                    self.labels.append(publisher)

        def on_image(self, message) -> None:
            if message.encoding not in ENCODINGS:
                self.get_logger().error(f"encoding {message.encoding}: give rgb8 or bgr8", once=True)
                return
            results = self.predictor.infer(image_array(message), ENCODINGS[message.encoding])
            for name, publisher in self.publishers_.items():
                encoding = TOPICS[self.predictor.results[name].form]
                array = results[name].astype(np.float32 if encoding == "32FC1" else np.uint8)
                publisher.publish(fill_image(Image(), array, encoding, message.header))

        def destroy_node(self) -> None:
            self.predictor.close()
            super().destroy_node()

    return Perception()


def main() -> int:
    import rclpy

    rclpy.init()
    try:
        node = make_node()
        rclpy.spin(node)
        node.destroy_node()
    except EdgekitError as error:
        print(f"edgekit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
