"""What one processor is made of: its state block, translation, interrupts and time."""
