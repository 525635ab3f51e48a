"""Make the pictures of gallery.md anew: run the command beside each, and shrink what it writes.

    python docs/gallery.py [NAME ...]

It runs in a folder with the world of ``bevlab make-synthetic data/synthetic-default``, and needs
the extras ``dev`` and ``video`` and a Chromium. NAME is the name of a picture, all by
default. What commands write stays in ``runs/gallery/NAME``, or where they name it; a command whose
folder is there is not run again.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

PAGE = Path(__file__).with_name("gallery.md")
WORK = Path("runs/gallery")
PICTURE = re.compile(r"!\[[^]]*\]\(gallery/([\w-]+)\.webp\)\s+```bash\n(.*?)```", re.S)
WIDTH, QUALITY = 960, 50
WINDOW = 1000, 1100  # width and height of the browser's window for pages, pixels


def main(names: list[str]) -> None:
    found = dict(PICTURE.findall(PAGE.read_text()))
    for name in names or found:
        folder = WORK / name
        path = PAGE.with_name("gallery") / f"{name}.webp"
        path.parent.mkdir(exist_ok=True)
        *before, last = found[name].replace("\\\n", " ").strip().splitlines()
        if last.startswith("tensorboard"):
            prepare(before)
            save(served(shlex.split(last)), path)
        else:
            if not folder.is_dir():
                prepare(before)
                run(last, folder)
            save(picture(folder), path)
        print(f"{path.stat().st_size / 1000:5.0f} kB  {path}")


def prepare(lines: list[str]) -> None:
    """Run the commands whose folders are not there yet."""
    for line in lines:
        words = shlex.split(line, comments=True)
        if not written(words).is_dir():
            subprocess.run([sys.executable, "-m", "bev.cli", *words[1:]], check=True)


def run(line: str, folder: Path) -> None:
    """Run the last command of a block, which writes into the folder."""
    words = shlex.split(line, comments=True)
    folder.mkdir(parents=True)
    if "--video" in words:
        words[words.index("--video") + 1] = str(folder / "scene.mp4")
    else:
        words += ["--out", str(folder)]
    try:
        subprocess.run([sys.executable, "-m", "bev.cli", *words[1:]], check=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def served(words: list[str]) -> np.ndarray:
    """The images on the page of TensorBoard, BGR."""
    command = [sys.executable, "-um", "tensorboard.main", *words[1:]]
    with subprocess.Popen(command, stdout=-1, stderr=subprocess.STDOUT, text=True) as process:
        try:
            lines = iter(process.stdout.readline, "")
            address = next(filter(None, (re.search(r"http://\S+?:\d+", line) for line in lines)))
            page, part = f"{address.group()}/#images", "tf-category-paginated-view >> visible=true"
            return screenshot(page, (1100, 900), "light", seconds=30, part=part)
        finally:
            process.terminate()


def written(words: list[str]) -> Path:
    """Folder that a command names for what it writes."""
    if words[1] == "make-synthetic":
        return Path(words[2])
    if "--train.run-name" in words:
        return Path("runs", Path(words[2]).stem, words[words.index("--train.run-name") + 1])
    return Path(words[words.index("--out") + 1])


def picture(folder: Path) -> np.ndarray:
    """The picture of a folder, BGR: a PNG, the middle of a video, a graphic, or a page."""
    if video := next(folder.glob("*.mp4"), None):
        capture = cv2.VideoCapture(str(video))
        capture.set(cv2.CAP_PROP_POS_FRAMES, capture.get(cv2.CAP_PROP_FRAME_COUNT) // 2)
        return capture.read()[1]
    if graphic := next(folder.glob("*.svg"), None):
        return screenshot(graphic.resolve().as_uri(), (556, 556), "light")
    if page := next(folder.glob("*.html"), None):
        shots = [
            screenshot(page.resolve().as_uri(), WINDOW, scheme) for scheme in ("light", "dark")
        ]
        return np.concatenate(shots, axis=1)
    return cv2.imread(str(max(folder.glob("*.png"))))


def screenshot(
    address: str, size: tuple[int, int], scheme: str, seconds: float = 3, part: str = ""
) -> np.ndarray:
    """A page, an element of it, or a graphic in Chromium, BGR."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        window = {"width": size[0], "height": size[1]}
        tab = browser.new_page(viewport=window, color_scheme=scheme, device_scale_factor=1.5)
        tab.goto(address)
        tab.wait_for_timeout(1000 * seconds)
        shown = tab.locator(part).first if part else tab
        data = np.frombuffer(shown.screenshot(), np.uint8)
        browser.close()
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def save(image: np.ndarray, path: Path) -> None:
    """Write a picture as WebP, at most ``WIDTH`` pixels wide."""
    scale = min(WIDTH / image.shape[1], 1)
    size = (round(scale * image.shape[1]), round(scale * image.shape[0]))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])


if __name__ == "__main__":
    main(sys.argv[1:])
