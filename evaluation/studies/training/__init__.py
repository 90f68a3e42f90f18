"""Studies that train methods over several seeds and compare their scores."""
