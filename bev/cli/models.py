"""List the trained models that come with the package: ``bevlab models``."""

from dataclasses import dataclass

from bev.options import parse


@dataclass(frozen=True)
class Command:
    """List the trained models of the package, with figures, parameters and sizes.

    The figures are of the 140 held-out frames of the synthetic world.
    """


def main(arguments: list[str], prog: str) -> None:
    parse(Command, arguments, prog)

    from bev.models.weights.shipped import SHIPPED

    width = max(map(len, SHIPPED))
    print(f"{'':<{width}}    mAP    NDS  mAVE m/s  parameters     size")
    for name, model in SHIPPED.items():
        millions, size = model.parameters / 1e6, model.path.stat().st_size / 2**20
        print(
            f"{name:<{width}}  {model.mean_ap:.3f}  {model.nds:.3f}  {model.mave:8.2f}"
            f"  {millions:8.2f} M  {size:.1f} MiB"
        )
    for name, model in SHIPPED.items():
        print(f"\n{name}: {model.about}.")
    print(
        "\nThe figures are of 140 held-out frames of a synthetic world, not of nuScenes. A name"
        "\nstands for a checkpoint in any command, such as `bevlab evaluate synthetic`; an existing"
        "\nfile of that name comes first."
    )
