"""The demo: made-up listeners whom the committee never met answer a few questions each."""
