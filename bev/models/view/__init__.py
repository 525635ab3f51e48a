"""View transforms: image features to BEV features."""
