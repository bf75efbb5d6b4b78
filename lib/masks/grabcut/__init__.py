"""GrabCut from a box: on the whole image with OpenCV, and the same at the cost of the box."""
