"""A space of 27 rows, 67 with those of the published networks, which is profiled and searched in seconds."""

TEXT = """
format = 1
name = "few-rows"
input = [16, 16, 1]
classes = 10
stem = { channels = 8, stride = 2 }
activation = "relu"
padding = "symmetric"
head = 64

[choices]
op = ["conv", "dconv", "mbconv_e3"]
kernel = [3]
se_ratio = [0.0, 0.25]
skip = ["none"]
filters = [1.0]
layers = [-1, 0]

[[blocks]]
channels = 16
layers = 2
stride = 2

[[blocks]]
channels = 24
layers = 2
stride = 2
"""
ROWS = 27
ROWS_WITH_PUBLISHED = 67
ARCHITECTURES = 144
