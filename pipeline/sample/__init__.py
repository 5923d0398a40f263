"""Sample music the product makes itself, so that it has something to show on a machine with nothing."""

from pipeline.sample.folder import Encode, Sample, make_sample

__all__ = ["Encode", "Sample", "make_sample"]
