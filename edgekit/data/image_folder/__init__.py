"""A folder of images and label images."""

from edgekit.data.image_folder.config import ImageFolderConfig
from edgekit.data.image_folder.source import ImageFolder

__all__ = ["ImageFolder", "ImageFolderConfig"]
