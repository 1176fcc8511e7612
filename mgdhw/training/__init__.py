"""A training under way: prepared, paced, followed, evaluated; of one device or of many replicas."""
