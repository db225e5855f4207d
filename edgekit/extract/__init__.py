"""From films and folders of photographs to a data set of many maps a frame."""
