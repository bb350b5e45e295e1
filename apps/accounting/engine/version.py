"""The version of the rules. Stored with every figure, so that an old figure can be told from a new one."""

ENGINE_VERSION = "1.1"
