"""Compute metrics of a checkpoint on a split, or of a nuScenes results file.

bevlab evaluate CHECKPOINT [--split mini_val]
bevlab evaluate results_nusc.json --data.root DIR --data.version V --split SPLIT
"""


def main(arguments: list[str], prog: str) -> None:
    # Scoring a results file needs no model, and so must not wait for torch to be imported.
    before = ["", *arguments]
    if any(
        one.endswith(".json") and flag != "--out"
        for flag, one in zip(before, arguments, strict=False)
    ):
        from bev.cli.evaluate import results

        results.main(arguments, prog)
    else:
        from bev.cli.evaluate import run

        run.main(arguments, prog)
