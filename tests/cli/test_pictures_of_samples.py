"""``bevlab visualize``: one run of the network for all pictures of a sample."""

from commands import call

from bev.models import Detector


def test_the_network_runs_once_for_all_pictures_of_a_sample(single, tmp_path, monkeypatch):
    runs, predict = [], Detector.predict

    def counting(self, *arguments, **settings):
        runs.append(arguments)
        return predict(self, *arguments, **settings)

    monkeypatch.setattr(Detector, "predict", counting)
    shown = ["--show", "mosaic", "features", "heatmaps", "--svg", "--camera-width", "120"]
    call("visualize.py", single, "--out", tmp_path, "--samples", "2", *shown)
    assert len(runs) == 2
    assert len(list(tmp_path.glob("*.png"))) == 6 and len(list(tmp_path.glob("*_bev.svg"))) == 2
