"""Runs an exported network over an audio file of any length, block by block, as a plugin would.

    python run_onnx.py in.wav out.wav 1 0.7      a number for each control, in the order of model.json

Needs onnxruntime, numpy and soundfile alone. A file of several channels goes through a mono network channel by channel.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile

BLOCK = 4096  # samples; any other gives the same output

try:
    source, target, *values = sys.argv[1:]
    controls = np.array([values], np.float32)
except ValueError:
    sys.exit(__doc__)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
model = onnxruntime.InferenceSession(str(Path(__file__).with_name("step.onnx")), options, ["CPUExecutionProvider"])
names = [entry.name for entry in model.get_inputs()]  # block, controls, state_0, state_1, …
about = model.get_modelmeta().custom_metadata_map
rate, channels, latency = (int(about[key]) for key in ("sample_rate", "in_channels", "latency"))

with soundfile.SoundFile(source) as file:
    if file.samplerate != rate or file.channels % channels or controls.shape[1] != model.get_inputs()[1].shape[1]:
        sys.exit(f"error: {source} must have {rate} Hz and {channels} channel(s); model.json lists the controls")
    zeros = [np.zeros(entry.shape, np.float32) for entry in model.get_inputs()[2:]]
    silence = np.zeros((1, channels, int(about["receptive_field"]) - 1), np.float32)
    if silence.size:  # after it the state is that of a device which has heard nothing yet
        _, *zeros = model.run(None, dict(zip(names, [silence, controls, *zeros], strict=True)))
    states = [zeros for _ in range(file.channels // channels)]
    width = int(about["out_channels"]) * len(states)
    late = latency  # output samples still to come that belong to the time before the file
    with soundfile.SoundFile(target, "w", rate, width, "FLOAT", format="WAV") as out:
        for start in range(0, file.frames + latency, BLOCK):
            wanted = min(BLOCK, file.frames + latency - start)
            block = file.read(wanted, "float32", always_2d=True, fill_value=0).T  # zeros after the end
            outputs = []
            for n, part in enumerate(np.split(block[None], len(states), axis=1)):
                output, *states[n] = model.run(None, dict(zip(names, [part, controls, *states[n]], strict=True)))
                outputs.append(output[0].T)
            out.write(np.concatenate(outputs, axis=1)[late:])
            late = max(late - wanted, 0)
