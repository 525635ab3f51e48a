"""Results for nuScenes of frames whose sample tokens are known."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.errors import ConfigError, DataError, shown
from bev.files import regular_length
from bev.inference.detections import Detections

_MOST_BYTES = 2**27
_BETWEEN = ", \t"


def read_tokens(path: Path, frames: Sequence[Frame]) -> dict[str, str]:
    """Read the sample token of each frame.

    A line of the file is the token of a frame, in the order of the frames; or the name of the frame
    and its token, in any order, separated by a comma or space. Names may contain both.

    Returns:
        Sample tokens by the names of the frames.

    Raises:
        DataError: if the file cannot be read, or lacks or repeats a frame or a token.
    """
    try:
        if regular_length(path) > _MOST_BYTES:
            raise DataError(f"Tokens {path} are too long; name a file with a line for each frame.")
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise DataError(f"Tokens {path} cannot be read ({why}).") from error
    rows = [_words(line) for line in lines if line.strip(_BETWEEN)]
    names = [frame.token for frame in frames]
    if len({len(words) for words in rows}) > 1:
        raise DataError(
            f"Tokens {path} must have a sample token in each line, or in each line the name of a"
            " frame and its token."
        )
    if rows and len(rows[0]) == 1:
        if len(rows) != len(names):
            raise DataError(
                f"Tokens {path} have {len(rows)} lines for {len(names)} frames; give one for each,"
                " in their order."
            )
        rows = [[name, token] for name, (token,) in zip(names, rows, strict=True)]
    for name, times in Counter(name for name, _ in rows).items():
        if times > 1:
            raise DataError(f"Tokens {path} have {times} lines for {shown(name)}; leave one.")
    tokens = dict(rows)
    for name in names:
        if name not in tokens:
            raise DataError(f"Tokens {path} have no line for frame {shown(name)}; add it.")
    found = {name: tokens[name] for name in names}
    for token, times in Counter(found.values()).items():
        if times > 1:
            raise DataError(
                f"Tokens {path} have the token {shown(token)} for two frames; correct one."
            )
    return found


def _words(line: str) -> list[str]:
    """Name and token of a line, or the token alone; a token contains neither commas nor spaces."""
    line = line.strip(_BETWEEN)
    token = line.replace(",", " ").split()[-1]
    name = line[: -len(token)].rstrip(_BETWEEN)
    return [name, token] if name else [token]


def check_classes(labels: LabelSpace) -> None:
    """Check that boxes of a model can be results for nuScenes.

    Raises:
        ConfigError: if the model's classes are not those of nuScenes.
    """
    from bev.data.nuscenes.classes import CLASSES

    if labels.names != CLASSES:
        raise ConfigError(
            f"Results for nuScenes need a model of its classes; this one has"
            f" {', '.join(labels.names)}; leave out --tokens."
        )


def submission_of(
    path: Path,
    frames: Sequence[Frame],
    found: Sequence[Detections],
    tokens: Mapping[str, str],
) -> None:
    """Write the results file of nuScenes with all boxes of the frames."""
    from bev.evaluation.nuscenes.submission import submission_rows, write_submission

    rows = {}
    for frame, one in zip(frames, found, strict=True):
        token = tokens[frame.token]
        rows[token] = submission_rows(token, one.boxes, frame.global_from_ego)
    write_submission(path, rows)
