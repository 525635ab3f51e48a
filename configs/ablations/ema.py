"""Averaged weights (EMA): maximum decay; 0 evaluates the weights of the last step."""

from lss_synthetic import config as base

from bev.lab.ablation import Study, vary

study = Study(base, vary("train.ema", "0.999", "0", "0.99", "0.9999"))
