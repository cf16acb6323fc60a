"""One config per model name; `tfafs.models.registry.load_config` reads them."""
