"""What Silah is made of: a bill of materials, the licence of each part, and what is known against it."""
