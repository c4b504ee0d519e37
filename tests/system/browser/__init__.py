"""What only a real browser can tell. `make browser` runs it; it needs Chromium, and Node for the packages that pages use."""
