"""Places of data: folders of caches, and object storage that data are read from."""
