"""python run_onnx.py MODEL.onnx RIG.yaml IMAGES: boxes, by numpy, OpenCV, onnxruntime, PyYAML."""

import json
import sys
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import yaml


def rig_camera(camera, shift):
    """Intrinsics (pixel centres at integer + 0.5) and pose of a camera of a rig file."""
    k, pose = camera["intrinsics"], camera["ego_from_camera"]
    if isinstance(k, dict):
        k = [[k["fx"], 0, k["cx"]], [0, k["fy"], k["cy"]], [0, 0, 1]]
    if isinstance(pose, dict):
        w, x, y, z = pose["rotation"]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        turn = np.eye(3) + 2 * (w * cross + cross @ cross)
        pose = np.vstack([np.c_[turn, pose["translation"]], [0, 0, 0, 1]])
    return np.array(k, float) + [[0, 0, shift], [0, 0, shift], [0, 0, 0]], np.array(pose, float)


def prepared(file, camera):
    """The network's image, as bevlab decodes and warps it."""
    image = cv2.imread(str(file), camera["opencv_flags"])
    return cv2.warpAffine(image, np.array(camera["opencv_affine"]), size[::-1])


path, rig_path, folder = sys.argv[1:4]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
meta = session.get_modelmeta().custom_metadata_map
cameras, classes, size = (json.loads(meta[n]) for n in ("cameras", "classes", "image_size"))
rig = yaml.safe_load(Path(rig_path).read_text())
named = {camera["name"]: camera for camera in rig["cameras"]}
own, inputs = [named[camera["name"]] for camera in cameras], {}
if meta["calibration"] == "input":
    sys.path.append(str(Path(path).parent))
    plan = import_module(Path(path).stem + "_plan")
    shifts = [0.5 * (c.get("pixel_centers", rig.get("pixel_centers")) != "half") for c in own]
    intrinsics, poses = map(np.stack, zip(*map(rig_camera, own, shifts), strict=True))
    crops, geometry = [c["image_from_original"] for c in cameras], json.loads(meta["geometry"])
    inputs = plan.calibration_inputs(geometry, int(meta["passes"]), intrinsics, poses, crops)
    inputs = {i.name: inputs[i.name] for i in session.get_inputs() if i.name in inputs}
patterns = [camera.get("images", camera["name"] + "/*").split("{") for camera in own]
patterns = ["*".join(part.split("}")[-1] for part in parts) for parts in patterns]  # {word}: *
moments = list(zip(*(sorted(Path(folder).glob(p)) for p in patterns), strict=True))
assert moments, f"{folder} has no images {patterns[0]}"
for moment in moments:
    images = np.stack([prepared(*pair) for pair in zip(moment, cameras, strict=True)])
    inputs["images"] = images[None, ..., ::-1].transpose(0, 1, 4, 2, 3).copy()
    boxes, scores, labels = session.run(["boxes", "scores", "labels"], inputs)
    print(moment[0].stem)
    for box, score, label in zip(boxes[0], scores[0], labels[0], strict=True):
        if score >= 0.3:
            print(f"  {classes[label]} {score:.3f} at x={box[0]:.2f} y={box[1]:.2f} m")
