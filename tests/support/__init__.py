"""What tests share: runs of the tap, clocks, the sandbox's truth, loaders, documents."""
