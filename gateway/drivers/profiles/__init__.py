"""Device models as data: the YAML files of `configs/profiles/` and the quirk book `configs/quirks.yaml`, checked and compiled at start."""
