"""Programs that run a loader with a stand-in for its service, in the loader's environment."""
