"""Objects of the synthetic world as painted shapes: vehicles, cycles, people, street furniture."""
