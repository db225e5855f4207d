"""Reading and writing frames, files and picture grids: numpy and Pillow only, for the device too."""
