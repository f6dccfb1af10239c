"""The host's end of the wire to a device, and the campaign that decides what is measured when."""
