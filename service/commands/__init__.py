"""The commands: one file for each command or group of commands, and the code that commands share."""
