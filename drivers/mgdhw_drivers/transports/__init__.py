"""What carries a link's bytes, one file for each transport: its address, connecting, listening, discovery, access."""
