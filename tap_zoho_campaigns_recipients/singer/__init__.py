"""What adapts the Singer SDK: streams, messages, files, logs, exit codes."""
