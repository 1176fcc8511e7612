"""From costs to updates: gradients, windows, states, segments and schedules, all of them pure."""
