"""Tools of a candidate that has read the harness, as its own source."""

# What a candidate that has read the harness would send: every stage, the answers, an outcome; then leave.
FRAMES = """
import json, os, struct
def frame(kind, payload):
    return struct.pack("<cI", kind, len(payload)) + payload
def say(predictions, stages=("build", "shape", "train", "predict"), **more):
    data = b"".join(frame(b"S", stage) for stage in map(str.encode, stages))
    data += frame(b"P", struct.pack("<%di" % len(predictions), *predictions))
    outcome = {"outcome": "ok", "detail": "", "parameters": 1, "losses": [], **more}
    return data + frame(b"O", json.dumps(outcome).encode())
"""
FORGE = f"""{FRAMES}
def send(data):
    ran("sent", os.write(3, data) == len(data))
"""
REST = '("shape", "train", "predict")'
