"""unmirror: takes deleted network interfaces out of Huawei Cloud traffic mirror sessions.

The way of one delivery: an edge (`main`, `functiongraph`, `cli`) hands it to `service`, `events` reads it,
`mirror` decides and acts through its port, `vpc` is the cloud behind that port.
"""

__version__ = "0.1.0"
