"""python run_onnx.py MODEL.onnx RIG.yaml IMAGES: boxes, by numpy, OpenCV, onnxruntime, PyYAML."""

import json
import re
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import yaml

path, rig_path, folder = sys.argv[1:4]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
meta = session.get_modelmeta().custom_metadata_map
names = {one.name for one in session.get_inputs() + session.get_outputs()}
assert "boxes" in names and meta["decode"] == "boxes", f"{path} has no boxes after NMS"
assert "features" not in names, f"{path} needs earlier frames, which this example does not keep"
cameras, classes, size = (json.loads(meta[n]) for n in ("cameras", "classes", "image_size"))
rig = yaml.safe_load(Path(rig_path).read_text())
calibrations, files, inputs = [], [], {}
for camera in cameras:
    own = next((c for c in rig["cameras"] if c["name"] == camera["name"]), {})
    name, k, pose = camera["name"], own.get("intrinsics"), own.get("ego_from_camera")
    bad = own.keys() & {"distortion", "camera_info"}
    assert k and pose and not bad, f"{name} needs intrinsics, pose and images without distortion"
    k = [k["fx"], 0, k["cx"], 0, k["fy"], k["cy"], 0, 0, 1] if isinstance(k, dict) else k
    shift = 0.5 * (own.get("pixel_centers", rig.get("pixel_centers")) != "half")
    k = np.reshape(k, (3, 3)) + np.outer([1, 1, 0], [0, 0, shift])  # first pixel at (0.5, 0.5)
    if isinstance(pose, dict):
        w, x, y, z = pose["rotation"] / np.linalg.norm(pose["rotation"])
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        pose = np.c_[np.eye(3) + 2 * (w * cross + cross @ cross), pose["translation"]]
    pose = np.vstack([np.reshape(pose, (-1, 4))[:3], [0, 0, 0, 1]])
    known = zip((k, pose), (camera["intrinsics"], camera["ego_from_camera"]), strict=True)
    equal = meta["calibration"] == "input" or all(np.allclose(*ab, 0, 1e-3) for ab in known)
    assert equal, f"{path} has another calibration of {name}; export with --rig {rig_path}"
    calibrations.append((k, pose, camera["image_from_original"]))
    pattern = re.sub(r"\{\w+\}", "*", own.get("images", f"{name}/*"))
    files.append(sorted(Path(folder).glob(pattern)))
    assert len(files[-1]) == len(files[0]) > 0, f"{folder}: {len(files[-1])} images {pattern}"
if meta["calibration"] == "input":
    plan = runpy.run_path(path.removesuffix(".onnx") + "_plan.py")["calibration_inputs"]
    arrays = map(np.stack, zip(*calibrations, strict=True))
    every = plan(json.loads(meta["geometry"]), int(meta["passes"]), *arrays)
    inputs = {name: every[name] for name in every.keys() & names}
for moment in zip(*files, strict=True):
    images = []
    for file, camera in zip(moment, cameras, strict=True):
        image = cv2.imread(str(file), camera["opencv_flags"])
        assert [*np.shape(image)] == camera["opencv_shape"], f"{file} is no image {camera['size']}"
        images.append(cv2.warpAffine(image, np.array(camera["opencv_affine"]), size[::-1]))
    inputs["images"] = np.stack(images)[None, ..., ::-1].transpose(0, 1, 4, 2, 3).copy()
    boxes, scores, labels = session.run(["boxes", "scores", "labels"], inputs)
    print(moment[0].stem)
    for box, score, label in zip(boxes[0], scores[0], labels[0], strict=True):
        if score >= 0.3:
            print(f"  {classes[label]} {score:.3f} at x={box[0]:.2f} y={box[1]:.2f} m")
