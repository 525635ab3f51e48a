"""Packaging: no compile step, on any platform."""

from setuptools import find_packages, setup

setup(
    name="bevlab",
    version="0.1.0",
    description="Camera-only bird's-eye-view 3D perception: lift-splat detection on nuScenes",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["bev", "bev.*"]),
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "numpy>=1.24,<2",  # nuscenes-devkit's own limit
        "nuscenes-devkit>=1.2,<1.3",  # custom splits came with 1.2
        "opencv-python-headless>=4.8,<5",
        "pyquaternion>=0.9.9",
        "einops>=0.8",
        "timm>=1.0.15",
        "lightning>=2.6,<2.7",  # WeightAveraging
        "tyro>=0.9",
        "jaxtyping>=0.2.36",
        "matplotlib>=3.6",
        "pyyaml>=6",
        "tensorboard>=2.14",
        "tqdm>=4.64",
    ],
    extras_require={
        "dev": ["pytest>=8", "hypothesis>=6.100", "beartype>=0.20", "ruff>=0.9"],
    },
)
