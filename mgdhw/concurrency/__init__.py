"""Tasks and threads that outlive a cancellation, or are abandoned."""
