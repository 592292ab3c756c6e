"""The commands: a file for each command or group of commands, and files with code that several commands share."""
